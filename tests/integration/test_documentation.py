"""README and `docs/`: every block that can run is run, on real servers, and does what the page says."""

import gzip
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson
import pytest
from redis import Redis
from sqlalchemy import text

from participation import message
from participation.ingest.flush import store_elements
from participation.store.database import connect
from tests.documentation import PAGES, ROOT, RUN_BY_SYSTEM_TESTS, Block, Broken, Place, attempt, read
from tests.launcher import launchers
from tests.worker import running

REASONS: Final = {
    "needs Docker",
    "needs a token of the platform",
    "installs packages",
    "needs root",
    "needs the ledgers of a run",
    "starts servers that run until Ctrl-C",
    "takes minutes",
    RUN_BY_SYSTEM_TESTS,
}
"""Why a block may be left out."""

LINK: Final = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED: Final = re.compile(r"^ *(`{3,}).*?^ *\1$", re.MULTILINE | re.DOTALL)

EVENT: Final = {
    "event_type": "MESSAGE_SENT",
    "platform": "irc",
    "community_id": "harbour",
    "channel_id": "#deck",
    "member_id": "ada",
    "occurred_at": "2026-03-29T01:30:00Z",
    "object_id": "m1",
}

# ---- what a page presumes ----


def history() -> Iterator[dict[str, Any]]:
    """Yield what some people do in the community `harbour` in March 2026."""
    accounts = ["discord:80351110224678912", "discord:175928847299117063", "telegram:5012345678", "irc:ada", "irc:cleo"]
    for day in range(1, 32):
        for number, account in enumerate(accounts):
            platform, member_id = account.split(":")
            who = {**EVENT, "platform": platform, "member_id": member_id, "channel_id": f"deck of {platform}"}
            at = f"2026-03-{day:02}T{8 + number:02}"
            for minute in range(number + day % 3):
                yield {**who, "object_id": f"{day}.{number}.{minute}", "occurred_at": f"{at}:{minute:02}:00Z"}
            reaction = {**who, "event_type": "REACTION_ADDED", "object_author_id": "53908232506183680"}
            yield {**reaction, "object_id": f"{day}", "metadata": {"emoji": "👍"}, "occurred_at": f"{at}:30:00Z"}


def lines(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(each) + b"\n" for each in events)


def put_files(place: Place) -> None:
    """Leave files of events in the folder: a history, whole and packed, and one of which two lines are no events."""
    (place.folder / "history.ndjson").write_bytes(lines(history()))
    for name in ("history.ndjson.gz", "march.ndjson.gz"):
        (place.folder / name).write_bytes(gzip.compress(lines(history())))
    wrong = [{**EVENT, "member_id": 7}]
    good = [{**EVENT, "object_id": name} for name in ("m2", "m3")]
    (place.folder / "small.ndjson").write_bytes(lines(good[:1]) + lines(wrong) + b"no event\n" + lines(good[1:]))


def put_letters(place: Place) -> None:
    """Leave the dead letters 22 to 26, as the pages show them; PostgreSQL would take the last two by now."""
    refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no poison here' USING "
    with place.engine.begin() as connection:
        connection.execute(text("ALTER TABLE dead_letters ALTER id RESTART WITH 22"))
        connection.execute(text(f"{refuse} ERRCODE = '22023'; END $$"))
        trigger = "BEFORE INSERT ON participation_events FOR EACH ROW WHEN (NEW.object_id LIKE 'poison%')"
        connection.execute(text(f"CREATE TRIGGER refuse {trigger} EXECUTE FUNCTION refuse()"))
    poison = [message.encode({**EVENT, "object_id": name}) for name in ("poison 1", "poison 2")]
    first = message.encode({**EVENT, "member_id": 7})
    cut_off = message.encode({**EVENT, "metadata": {"text": "x" * 70_000}})
    for element in (first, b"\xff\x00 nothing", cut_off, *poison):
        store_elements(place.engine, uuid4().hex, [element])
    with place.engine.begin() as connection:
        connection.execute(text("DROP FUNCTION refuse() CASCADE"))


def put_env(place: Place) -> None:
    """Leave a `.env` that names the servers."""
    names = ("DATABASE_URL", "REDIS_URL")
    (place.folder / ".env").write_text("".join(f"{name}={place.environment[name]}\n" for name in names))


@dataclass(frozen=True)
class Page:
    """What has to be there before the blocks of a page are run.

    put: leaves it there. worker: whether a worker must run. appendfsync: of Redis. presumed: Python for the names that
    the page takes as the reader's own.
    """

    put: tuple[Callable[[Place], None], ...] = ()
    worker: bool = False
    appendfsync: str = "always"
    presumed: str = ""


ONE: Final = f"event = {EVENT!r}\n"

MANY: Final = "events = [{**event, 'object_id': str(number)} for number in range(1_200)]\n"

BOTS: Final = """
import discord
from discord.ext import commands
from aiogram import Dispatcher
from telegram.ext import Application
from participation.bots.aiogram import Participation
from participation.bots.discord import ParticipationCog
from participation.bots.telegram import add_participation
bot = commands.Bot("!", intents=discord.Intents.default())
client = discord.Client(intents=discord.Intents.default())
dispatcher = Dispatcher()
token = "1:token"
app = Application.builder().token(token).build()
Application.run_polling = lambda self, **options: None  # it would ask the platform
"""

NEEDS: Final = {
    "README.md": Page((put_files,), worker=True, presumed=BOTS),
    "docs/bots.md": Page(presumed=BOTS),
    "docs/commands.md": Page((put_files, put_letters), worker=True, appendfsync="everysec"),
    "docs/dead-letters.md": Page((put_letters,), worker=True),
    "docs/deployment.md": Page((put_env,)),
    "docs/events.md": Page((put_files,), worker=True, presumed=ONE + MANY),
    "docs/reliability.md": Page(presumed=ONE),
}
"""By page; the others need nothing."""

# ---- the pages ----


def blocks(page: str) -> list[Block]:
    return read(page, (ROOT / page).read_text())


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "activate").symlink_to(Path(sys.prefix) / "bin" / "activate")
    with launchers(folder):
        yield folder


@pytest.fixture
def place(environment: None, database: str, programs: Path, tmp_path: Path) -> Iterator[Place]:
    """A folder of its own, which is also the home of what runs in it, and the servers of the test."""
    engine = connect(database)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {
        "PATH": path,
        "HOME": str(tmp_path),
        "BOT_TOKEN": "1:token",
        "PARTICIPATION_SPOOL_DIR": str(tmp_path / "spool"),
    }
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(programs)
    yield Place(tmp_path, engine, {**os.environ, **own})
    engine.dispose()


@contextmanager
def synced(redis: Redis, how: str) -> Iterator[None]:
    before = str(redis.config_get("appendfsync")["appendfsync"])
    redis.config_set("appendfsync", how)
    yield
    redis.config_set("appendfsync", before)


@pytest.mark.parametrize("page", PAGES)
def test_page__every_block_does_what_it_says(
    page: str, place: Place, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All blocks of a page, in their order, in one folder and on one database."""
    needs = NEEDS.get(page, Page())
    place = replace(place, presumed=needs.presumed)
    for put in needs.put:
        put(place)
    log = tmp_path_factory.mktemp("log") / "worker.log"
    with synced(redis, needs.appendfsync), running(log) if needs.worker else nullcontext():
        for block in blocks(page):
            attempt(block, place)


def test_blocks__few_are_left_out() -> None:
    """Whatever is not run says why, for one of few reasons, each of which is needed."""
    assert {block.reason for page in PAGES for block in blocks(page)} - {None} == REASONS


@pytest.mark.parametrize("page", PAGES)
def test_links__lead_somewhere(page: str) -> None:
    """Every link of a page to a file of ours, or to a heading, has one there."""
    for target in LINK.findall(FENCED.sub("", (ROOT / page).read_text())):
        name, _, heading = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), f"{page}: {target}: there is no such file"
        assert not heading or heading in anchors(file), f"{page}: {target}: there is no such heading"


def anchors(page: Path) -> set[str]:
    """Name the headings as GitHub does; the second of the same name gets a number."""
    found: Counter[str] = Counter()
    names = set()
    for title in HEADING.findall(FENCED.sub("", page.read_text())):
        name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


# ---- that it would be seen ----


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("```\nls\n```", "1: write LANGUAGE"),
        ("text\n\n```sh not-run:\nls\n```", "3: write LANGUAGE"),
        ("```shell\nls\n```", "1: shell is none of"),
        ("```js\n1\n```", "1: nothing here runs JavaScript"),
        ("```python exit-code=1\n1\n```", "1: only sh and console"),
        ("```sh\nls", "1: the block has no end"),
        ("text\n\n    ls\n", "3: an indented block has no language"),
        ("```console\nls\n```", "2: a console block has commands"),
        ("```sh\ntrue\nfalse\n```", "2: ended with code 1, not 0:\n+ true\n+ false\n"),
        ("```sh exit-code=1\ntrue\n```", "2: ended with code 0, not 1:\n+ true\n"),
        ("```console\n$ true\n$ echo no; (exit 3)\n```", "3: `echo no; (exit 3)` no\nended with code 3, not 0\n"),
        ("```console exit-code=3\n$ (exit 3)\n$ true\n```", "2: `(exit 3)` ended with code 3, not 0"),
        ("```console exit-code=3\n$ (exit 3)\n$ echo $?\n2\n```", "3: it shows 2"),
        ("1. item\n\n   ```json\n   {]\n   ```", "4: JSONDecodeError"),
        ('```json\n{"event_type": "MESSAGE_SENT"}\n```', "2: InvalidEvent: platform: is missing"),
        ('```json\n{"body": "[[{}], {}]"}\n```', "2: InvalidEvent"),
        ("```ini\na = 1\n```", "2: MissingSectionHeaderError"),
        ("```yaml\n[\n```", "2: ParserError"),
        ("```toml\n[\n```", "2: TOMLDecodeError"),
        ("```sql\nSELECT nothing FROM communities\n```", "2: ProgrammingError"),
        ("```python\n1\n1 / 0\n```", "3, in <module>\n"),
        ("```python\nawait nothing\n```", "NameError: name 'nothing' is not defined"),
    ],
)
def test_blocks__what_is_wrong_is_found(source: str, problem: str, place: Place) -> None:
    """A block that does not say what it is, or does something else than it says, is named with its line."""
    with pytest.raises(Broken) as found:
        try_all(source, place)
    assert str(found.value).startswith("page.md:")
    assert problem in str(found.value)


def test_blocks__exit_codes_indents_and_sessions(place: Place) -> None:
    """A block in a list, an expected exit code, and what one command leaves to the next; what is not run is not."""
    steps = ["$ export CODE=3; cd /", "$ true \\", "  && (exit $CODE)", "$ echo $?", "3"]
    try_all("\n  ".join(["- item\n\n  ```console exit-code=3", *steps, "```"]), place)
    try_all("```sh not-run: why\nfalse\n```", place)


def try_all(source: str, place: Place) -> None:
    for block in read("page.md", source):
        attempt(block, place)
