"""`participation members forget | export | opt-out | opt-in`, and the deletion that `communities list` shows."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from participation.accounts import Account
from participation.cli import main
from participation.notices.presence import Presence
from participation.store.communities import presence
from participation.store.database import connect, transaction
from participation.store.members import links
from tests.commands import PARTICIPATION
from tests.rows import event, put
from tests.worker import SECONDS

Tell = Callable[..., tuple[str, str]]

REACTION = {"event_type": "REACTION_ADDED", "member_id": "bob", "object_id": "1", "object_author_id": "ada"}


@pytest.fixture
def engine(environment: None, database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


@pytest.fixture
def tell(engine: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tell:
    """Run a command in this process; return what it says on standard output and standard error."""

    def tell(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["participation", *map(str, arguments)])
        with pytest.raises(SystemExit, match=f"^{code}$"):
            main()
        return tuple(capfd.readouterr())  # type: ignore[return-value]

    return tell


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM participation_events")) or 0)


def test_forget__says_whom_and_what(engine: Engine, tell: Tell) -> None:
    """All accounts of the person are named with what went; a repeat says that nothing was stored."""
    put(engine, [event(), event(platform="discord", member_id="1"), event(**REACTION)])
    with transaction(engine) as connection:
        links.link(connection, "the countess", [Account("irc", "ada"), Account("discord", "1")])
    out, _ = tell("members", "forget", "the countess", "irc:ada", "irc:nobody")
    assert out.splitlines() == [
        "discord:1, irc:ada: erased: 2 event(s), 1 mention(s) in events of others, 2 link(s); 1 day(s) are marked to "
        "be computed again",
        "discord:1: erased: nothing was stored",
        "irc:nobody: erased: nothing was stored",
    ]
    assert count(engine) == 1


def test_forget__asks_on_a_terminal_and_nowhere_else(engine: Engine, tell: Tell) -> None:
    """On a terminal no means no, and --yes is no question; what nobody is called erases nobody."""
    put(engine, [event()])
    _, error = tell("members", "forget", "irc:ada", "ada", code=2)
    assert error == (
        "error: no account is linked to 'ada', and it is not an account: write PLATFORM:ACCOUNT, such as irc:ada\n"
    )
    for answer, more, code, left in ((b"n\n", [], 130, 1), (b"y\n", [], 0, 0), (b"", ["--yes"], 0, 0)):
        master, slave = pty.openpty()
        os.write(master, answer)
        command = [*PARTICIPATION, "members", "forget", "irc:ada", *more]
        ended = subprocess.run(command, stdin=slave, capture_output=True, timeout=SECONDS, check=False)
        os.close(master)
        os.close(slave)
        assert (ended.returncode, count(engine)) == (code, left), ended
        assert (b"Erase everything about irc:ada permanently?" in ended.stderr) == (not more)


def test_export__to_a_file_and_to_standard_output(engine: Engine, tell: Tell, tmp_path: Path) -> None:
    """The same lines go both ways; a file is private, and one that is there is left alone."""
    put(engine, [event(channel_id="\u202eabc"), event(**REACTION)])
    file = tmp_path / "ada.ndjson"
    assert tell("members", "export", "irc:ada", "--output", file)[0] == f"3 line(s) written to {file}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    saved = [json.loads(line) for line in file.read_text().splitlines()]
    shown, _ = tell("members", "export", "irc:ada")
    assert "\u202e" not in shown
    printed = [json.loads(line) for line in shown.splitlines()]
    assert [line["kind"] for line in printed] == ["about", "event", "reaction_received"]
    assert without_moment(saved) == without_moment(printed)
    assert "already exists; name another file" in tell("members", "export", "irc:ada", "--output", file, code=2)[1]
    assert len(file.read_text().splitlines()) == 3
    assert "cannot be written" in tell("members", "export", "irc:ada", "--output", tmp_path / "no" / "f", code=2)[1]
    new = tmp_path / "new"
    assert "no account is linked to 'nobody'" in tell("members", "export", "nobody", "--output", new, code=2)[1]
    assert not new.exists()


def without_moment(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "exported_at"} for line in lines]


def test_opt_out__and_in(engine: Engine, tell: Tell) -> None:
    """Nothing is kept in between, and each command says what it means now."""
    put(engine, [event()])
    out, _ = tell("members", "opt-out", "irc:ada")
    assert (
        out == "irc:ada: erased; later events will be discarded: 1 event(s); 1 day(s) are marked to be computed again\n"
    )
    put(engine, [event()])
    assert count(engine) == 0
    assert "an account has opted out" in tell("members", "link", "ada", "irc:ada", code=2)[1]
    assert tell("members", "opt-in", "irc:ada")[0] == (
        "irc:ada: 1 account(s) had opted out; events from now on are stored\n"
    )
    assert tell("members", "opt-in", "irc:ada")[0] == "irc:ada: had not opted out; events from now on are stored\n"


def test_communities_list__shows_what_will_be_deleted(engine: Engine, tell: Tell) -> None:
    """A deletion has its date; without one the table is as ever."""
    put(engine, [event(), event(community_id="d")])
    assert "deletion" not in tell("communities", "list")[0]
    with transaction(engine) as connection:
        presence.store_presence(connection, Presence("c", "irc", False, datetime(2026, 3, 11, tzinfo=UTC)))
    lines = [line.split("  ") for line in tell("communities", "list")[0].splitlines()]
    assert lines[0][-1].strip() == "deletion (UTC)"
    assert lines[1][-1].strip() == "irc 2026-04-10"
    assert len(lines) == 3
    assert "irc" not in "".join(lines[2])
