"""The commands as an operator and a manager use them, on real servers."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from redis import Redis
from rich.cells import cell_len
from sqlalchemy import Engine, text

from participation import keys, message
from participation.local.processes import free_port, spawn, wait_until
from participation.store.database import connect
from tests.commands import PARTICIPATION, run
from tests.rows import event, put
from tests.worker import SECONDS, running

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(environment: None, database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def test_import__files_plain_packed_and_standard_input(engine: Engine, tmp_path: Path) -> None:
    """All files go through queue and worker; the counts are exact, and those of this import alone."""
    plain, packed = tmp_path / "plain.ndjson", tmp_path / "packed.ndjson.gz"
    plain.write_bytes(lines(*[event(object_id=str(n)) for n in range(1_200)]) + b"\n  \n")
    packed.write_bytes(gzip.compress(lines(*[event(object_id=str(n)) for n in range(1_000, 2_000)])))
    put(engine, [event(object_id="0")])
    with running(tmp_path / "worker.log"):
        first = run("import", "events", plain, packed, "-", given=lines(event(object_id="last")))
        second = run("import", "events", plain, packed)
    assert first.stdout == b"accepted 2,201   stored 2,000   duplicates 201   dead 0\n"
    assert second.stdout == b"accepted 2,200   stored 0   duplicates 2,200   dead 0\n"
    with engine.connect() as connection:
        imports = connection.execute(text("SELECT import_id IS NULL, count(*) FROM participation_events GROUP BY 1"))
        assert dict(tuple(row) for row in imports) == {True: 1, False: 2_000}


def test_import__reads_pipes(engine: Engine, tmp_path: Path) -> None:
    """A named pipe is read to its end, and its writer is not cut off by a look whether it can be read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = lines(*[event(object_id=str(n)) for n in range(2_000)])
    with running(tmp_path / "worker.log"), ThreadPoolExecutor(1) as pool:
        written = pool.submit(pipe.write_bytes, content)
        ended = run("import", "events", pipe)
        assert written.result(SECONDS) == len(content)
    assert ended.stdout == b"accepted 2,000   stored 2,000   duplicates 0   dead 0\n"


def test_import__names_each_line_that_is_no_event_and_goes_on(engine: Engine, tmp_path: Path) -> None:
    """File, line number and reason of each bad line; the good ones around it are stored; the exit code is 1."""
    bad, damaged = tmp_path / "bad.ndjson", tmp_path / "damaged.ndjson.gz"
    parts = [
        lines(event(object_id="1")),
        b"not json\n",
        lines(event(platform="NO")),
        b'{"x": "' + b"x" * 3_000_000 + b'"}\n',
        b"\n",
        b"\xff\xfe\n",
        lines(event(object_id="2")).rstrip(),
    ]
    bad.write_bytes(b"".join(parts))
    many = gzip.compress(lines(*[event(object_id=f"d{n}", metadata={"n": os.urandom(9).hex()}) for n in range(5_000)]))
    damaged.write_bytes(many[: len(many) // 2])
    with running(tmp_path / "worker.log"):
        ended = run("import", "events", damaged, bad, code=1)
    errors = [line for line in ended.stderr.decode().splitlines() if str(tmp_path) in line]
    assert [line.split(": ")[0] for line in errors[1:]] == [f"{bad}:{number}" for number in (2, 3, 4, 6)]
    assert "damaged" in errors[0]
    assert "must be one JSON object" in errors[1]
    assert "platform: must be a slug" in errors[2]
    assert "must be at most 1,048,576 bytes" in errors[3]
    assert "5 line(s) are not events and were not sent; see above" in ended.stderr.decode()
    with engine.connect() as connection:
        ids = set(connection.scalars(text("SELECT object_id FROM participation_events WHERE object_id !~ 'd'")))
        assert ids == {"1", "2"}
        assert connection.scalar(text("SELECT count(*) > 1000 FROM participation_events"))


def test_import__byte_order_marks_lose_no_event(engine: Engine, tmp_path: Path) -> None:
    """Some programs write this mark. Plain, in gz, on standard input, and where files were put together."""
    mark = b"\xef\xbb\xbf"
    plain, packed = tmp_path / "plain.ndjson", tmp_path / "packed.ndjson.gz"
    plain.write_bytes(mark + lines(event(object_id="1")) + mark + lines(event(object_id="2")) + mark)
    packed.write_bytes(gzip.compress(mark + lines(event(object_id="3"))))
    with running(tmp_path / "worker.log"):
        ended = run("import", "events", plain, packed, "-", given=mark + lines(event(object_id="4")))
    assert ended.stdout == b"accepted 4   stored 4   duplicates 0   dead 0\n"


def test_import__files_in_another_encoding_are_refused_in_one_line(engine: Engine, tmp_path: Path) -> None:
    """UTF-16 and UTF-32, with and without a mark: one error for the file. The other files are imported."""
    good, text_of = tmp_path / "good.ndjson", lines(*[event(object_id=str(n)) for n in range(9)]).decode()
    good.write_text(lines(event(object_id="good")).decode())
    wrong = []
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        wrong.append(tmp_path / f"{encoding}.ndjson")
        wrong[-1].write_bytes(text_of.encode(encoding))
    with running(tmp_path / "worker.log"):
        ended = run("import", "events", *wrong, good, "-", given=text_of.encode("utf-16"), code=1)
    assert ended.stdout == b"accepted 1   stored 1   duplicates 0   dead 0\n"
    errors = [line for line in ended.stderr.decode().splitlines() if ":1: " in line]
    assert [line.split(": ", 1)[0] for line in errors] == [*(f"{file}:1" for file in wrong), "-:1"]
    assert {line.split(": ", 1)[1] for line in errors} == {
        "line: must be UTF-8, but the file is UTF-16 or UTF-32; save it again as UTF-8"
    }


def test_import__unreadable_file_stops_it_before_anything_is_sent(engine: Engine, redis: Redis, tmp_path: Path) -> None:
    """A misspelt name is an error at once, not after half of the files."""
    good = tmp_path / "good.ndjson"
    good.write_bytes(lines(event()))
    ended = run("import", "events", good, tmp_path / "missing.ndjson", code=2)
    assert b"missing.ndjson: cannot be read" in ended.stderr
    assert not redis.exists(keys.EVENTS)


def test_import__without_a_worker_says_so_and_leaves_the_events_in_the_queue(
    engine: Engine, redis: Redis, tmp_path: Path
) -> None:
    """Whoever forgot to start a worker is told; Ctrl-C loses nothing."""
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines(event()))
    log = tmp_path / "import.log"
    with log.open("wb") as output:
        process = spawn([*PARTICIPATION, "import", "events", str(file)], signal.SIGKILL, stdout=output, stderr=output)
    assert wait_until(lambda: b"is a worker running" in log.read_bytes(), SECONDS)
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130
    assert b"the 1 accepted events are in the queue" in log.read_bytes()
    assert redis.llen(keys.EVENTS) == 1


def test_highlights__are_computed_and_shown(engine: Engine) -> None:
    """What is due is computed; days are shown as text and as JSON; wrong questions get one clear line."""
    put(engine, [event(object_id=str(n), occurred_at=f"2026-03-{10 + n // 2}T12:00:00Z") for n in range(4)])
    early = run("highlights", "show", "--community", "c", "--date", "2026-03-10", code=2).stderr.decode()
    assert "2026-03-10 of 'c' is not computed yet" in early
    assert run("highlights", "compute").stdout == b"2 day(s) computed\n"
    assert run("highlights", "compute").stdout == b"0 day(s) computed\n"
    span = ("--community", "c", "--from", "2026-03-01", "--to", "2026-03-31")
    assert run("highlights", "compute", *span).stdout == b"2 day(s) computed\n"
    shown = run("highlights", "show", "--community", "c").stdout.decode()
    assert shown.startswith("c · Wednesday 11 March 2026 · UTC\n")
    assert "Messages                  2" in shown
    one = json.loads(run("highlights", "show", "--community", "c", "--date", "2026-03-10", "--format", "json").stdout)
    assert (one["highlight_date"], one["message_count"], one["members"][0]["member_id"]) == ("2026-03-10", 2, "irc:ada")
    many = json.loads(run("highlights", "show", *span, "--format", "json").stdout)
    assert [day["highlight_date"] for day in many] == ["2026-03-10", "2026-03-11"]
    empty = run("highlights", "show", "--community", "c", "--date", "2026-01-01").stdout.decode()
    assert "Nothing was counted on this day." in empty
    unknown = run("highlights", "show", "--community", "cc", code=2).stderr.decode()
    assert unknown == "error: unknown community 'cc': did you mean c?\n"


def test_communities__are_grouped_shown_and_deleted(engine: Engine) -> None:
    """A part shows its community and says so; what is not in force any more is printed; deleting asks nobody here."""
    put(engine, [event(community_id=each, object_id=each) for each in ("deck", "pier")])
    run("communities", "set", "pier", "--timezone", "Asia/Tokyo")
    grouped = run("communities", "group", "harbour", "deck", "pier")
    assert grouped.stdout == b"harbour: 2 part(s); all its days will be computed again\n"
    assert grouped.stderr == b"not in force any more: pier: time zone Asia/Tokyo\n"
    run("highlights", "compute")
    shown = run("highlights", "show", "--community", "pier", "--format", "json")
    assert shown.stderr == b"pier is a part of harbour\n"
    assert json.loads(shown.stdout)["message_count"] == 2
    listed = run("communities", "list").stdout.decode().splitlines()
    assert (len(listed), listed[1].split()) == (2, ["harbour", "UTC", "1", "2026-03-10", "deck,", "pier"])
    assert run("communities", "ungroup", "pier").stdout.startswith(b"1 part(s) of harbour")
    assert b"'pier' is not a part" in run("communities", "ungroup", "pier", code=2).stderr
    assert run("communities", "delete", "harbour").stdout == b"harbour, deck: deleted, with 1 event(s)\n"
    assert b"unknown community 'harbour'" in run("communities", "delete", "harbour", code=2).stderr


def test_communities_and_members__are_set_and_listed(engine: Engine) -> None:
    """Names and zones are saved and listed; accounts are linked and unlinked; what is wrong is named."""
    put(engine, [event()])
    run("highlights", "compute")
    assert (
        b"c: saved; all its days will be computed again"
        in run("communities", "set", "c", "--timezone", "Asia/Tokyo").stdout
    )
    assert run("communities", "set", "c", "--name", "The Harbour").stdout == b"c: saved\n"
    listed = run("communities", "list").stdout.decode()
    assert all(part in listed for part in ("The Harbour", "Asia/Tokyo", "2026-03-10"))
    assert run("members", "link", "Ada", "irc:ada", "discord:1:2").stdout.startswith(b"Ada: 2 account(s) linked")
    assert run("members", "unlink", "irc:ada", "irc:bob").stdout == b"1 account(s) unlinked, 1 were not linked\n"
    with engine.connect() as connection:
        assert connection.execute(text("SELECT platform, account_id, person_id FROM member_accounts")).all() == [
            ("discord", "1:2", "Ada")
        ]
    assert b"'ada' is not an account" in run("members", "link", "Ada", "ada", code=2).stderr
    for command in (("communities", "set", "c", "--name"), ("members", "link")):
        for name in ("x" * 256, "x" * 100_000, "a\nb", " ", "\udcff"):
            refused = run(*command, name, *["irc:ada"] * (command[0] == "members"), code=2).stderr.decode()
            assert "is not a name: use 1–255 characters" in refused
            assert len(refused) < 250
    unknown = run("communities", "set", "c", "--timezone", "x" * 100_000, code=2).stderr
    assert unknown.startswith(b"error: unknown time zone 'xxx")
    assert len(unknown) < 250
    assert run("communities", "set", "c", "--timezone", "Zo\udceb", code=2).stderr.startswith(
        b"error: unknown time zone"
    )
    for wrong in (("members", "export"), ("members", "forget")):
        printed = run(*wrong, "Zo\udceb", code=2).stderr
        assert printed == b"error: 'Zo\\udceb' is not UTF-8: write it again in a terminal that uses UTF-8\n"
    assert b"nothing to set" in run("communities", "set", "c", code=2).stderr
    assert b"did you mean Europe/Berlin" in run("communities", "set", "c", "--timezone", "Europ/Berlin", code=2).stderr


def test_status__tells_where_events_are(engine: Engine, redis: Redis) -> None:
    """Queue, batches, age of the oldest event, last commit, dead letters, due days: for people and programs."""
    quiet = json.loads(run("status", "--json").stdout)
    assert {name: quiet[name] for name in quiet if name != "checked_at"} == {
        "queue_length": 0,
        "batches_in_flight": 0,
        "oldest_waiting_seconds": None,
        "last_commit_at": None,
        "dead_letters": 0,
        "days_due": 0,
        "errors": [],
    }
    put(engine, [event(), event(platform="NO")])
    redis.lpush(keys.EVENTS, b"nothing", message.encode(event()))
    redis.zadd(keys.BATCHES, {"b": 1.0})
    redis.lpush(keys.batch("b"), message.encode(event()))
    busy = json.loads(run("status", "--json").stdout)
    assert busy["last_commit_at"] is not None
    assert 0 <= busy["oldest_waiting_seconds"] < 60
    assert {name: busy[name] for name in ("queue_length", "batches_in_flight", "dead_letters", "days_due")} == {
        "queue_length": 2,
        "batches_in_flight": 1,
        "dead_letters": 1,
        "days_due": 1,
    }
    told = run("status").stdout.decode()
    assert "queue length        2 events" in told
    assert "days due            1" in told


def test_migrate__says_what_it_did(environment: None, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run names its migrations, the second has nothing to do; before, other commands say what to run."""
    monkeypatch.setenv("DATABASE_URL", empty_database)
    assert b"run `participation migrate`" in run("status", code=2).stderr
    assert run("migrate").stdout.startswith(b"migrations run: 0001, 0002, ")
    assert run("migrate").stdout == b"the database is up to date\n"


def test_demo__prints_a_digest_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole route on servers of its own, whatever the settings say; no file and no process stays."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = run("demo")
    told = ended.stdout.decode()
    assert "The best day of a simulated community" in told
    assert "Harbour · " in told
    # Members are called by their names: an emoji, two equal ones, and one that is written from right to left.
    for name in ("Tariq 🚀", "Robin (discord)", "Robin (irc)", "\u200eליאור\u200e"):
        assert name in told
    assert max(map(cell_len, told.splitlines()[:-1])) <= 80
    last = told.splitlines()[-1]
    accepted, stored, duplicates, dead = (
        int("".join(filter(str.isdigit, part))) for part in last.split(":")[1].split("·")
    )
    assert accepted == stored + duplicates + dead
    assert stored > 50_000
    assert duplicates > 0
    assert b"all data is simulated" in ended.stderr
    assert list(tmp_path.iterdir()) == []
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]


def test_procfile__runs_under_honcho(
    engine: Engine, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Release, worker, Beat and Flower of the Procfile really run: an event that is sent is stored."""
    folder = tmp_path / "app"
    folder.mkdir()
    shutil.copy(ROOT / "Procfile", folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    # The third of them gets the port that is 200 further on; of its own choice another run may have it.
    monkeypatch.setenv("PORT", str(free_port() - 200))
    (folder / ".env").write_text("FLOWER_BASIC_AUTH=ada:s3cret\n")
    honcho = [sys.executable, "-m", "honcho", "start"]
    subprocess.run([*honcho, "release"], cwd=folder, capture_output=True, timeout=SECONDS, check=True)
    redis.lpush(keys.EVENTS, message.encode(event()))
    log = tmp_path / "honcho.log"
    with log.open("wb") as output:
        process = spawn([*honcho, "worker", "beat", "flower"], signal.SIGTERM, cwd=folder, stdout=output, stderr=output)
    try:
        signs = (b"celery@", b"beat: Starting", b"Visit me at", b"batch_stored")
        assert wait_until(lambda: all(sign in log.read_bytes() for sign in signs), SECONDS), log.read_text()
    finally:
        process.terminate()
        process.wait(SECONDS)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM participation_events")) == 1
