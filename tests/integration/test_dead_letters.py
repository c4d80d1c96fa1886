"""Dead letters as an operator meets them: listed, shown, sent again, deleted; on real servers and workers."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from base64 import b64decode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from participation import keys, message
from participation.cli import main
from participation.ingest.flush import store_elements
from participation.local.processes import kill, spawn, wait_until
from participation.store.database import connect
from tests.commands import PARTICIPATION, run
from tests.rows import event
from tests.worker import SECONDS, eventually, running

NOT_JSON = b"\xff\x00 nothing"
CUT_OFF = b"[" + b" " * 70_000
DEEP = (
    b'{"body": "[['
    + b'{\\"a\\":' * 400
    + b"1"
    + b"}" * 400
    + b'],{}]", "headers": {"task": "participation.track_event"}}'
)


Tell = Callable[..., str]


@pytest.fixture
def engine(environment: None, database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


def quarantine(engine: Engine, *elements: bytes, batch_id: str | None = None) -> None:
    """Store the elements as one batch: those that are no events become dead letters, with ids from 1 on."""
    store_elements(engine, batch_id or uuid4().hex, elements)


def wrong(number: int) -> bytes:
    """An event that no worker takes."""
    return message.encode(event(object_id=str(number), member_id=number))


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def query(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def letters(engine: Engine) -> list[tuple[int, str, bool]]:
    """Return id, reason, and whether it was sent again, of every letter."""
    found = query(engine, "SELECT id, reason, replayed_at IS NOT NULL FROM dead_letters ORDER BY id")
    return [(row[0], row[1], row[2]) for row in found]


def queued(redis: Redis) -> list[bytes]:
    """Return what waits to be claimed, the last first."""
    return cast("list[bytes]", redis.lrange(keys.EVENTS, 0, -1))


def replay(*arguments: str | Path, code: int = 0, given: bytes = b"") -> list[str]:
    """Run the command; return what it says on standard output and then on standard error, by line."""
    ended = run("dead-letters", "replay", *arguments, code=code, given=given)
    return [*ended.stdout.decode().splitlines(), *ended.stderr.decode().splitlines()]


@pytest.fixture
def tell(engine: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tell:
    """Run a command of the group in this process, which is faster; return what it says on standard output."""

    def tell(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["participation", "dead-letters", *arguments])
        with pytest.raises(SystemExit, match=r"^0$"):
            main()
        return capfd.readouterr().out

    return tell


# ---- list ----


def test_list__newest_first_with_counts(engine: Engine, tell: Tell) -> None:
    """A table for people: what was not sent again, the newest first, cut off at the limit, and how many there are."""
    quarantine(engine, NOT_JSON, b"[]", wrong(7))
    execute(
        engine,
        "UPDATE dead_letters SET received_at = timestamptz '2026-03-10 12:00Z' + id * interval '1 minute'",
        "UPDATE dead_letters SET detail = E'bad\\x1b[2J\\nthing' WHERE id = 3",
    )
    assert tell("list", "--limit", "2").splitlines() == [
        "id  received (UTC)       reason         detail",
        "3   2026-03-10 12:03:00  invalid_event  bad\\x1b[2J\\nthing",
        "2   2026-03-10 12:02:00  not_a_message  message: must be a Celery message: a JSON object with a body",
        "",
        "the newest 2 of 3 dead letter(s) (--limit N lists more): invalid_event 1, not_a_message 1, not_json 1",
    ]
    execute(engine, "UPDATE dead_letters SET replayed_at = timestamptz '2026-03-11 12:00Z' WHERE id <> 2")
    assert tell("list", "--all", "--reason", "invalid_event").splitlines() == [
        "id  received (UTC)       sent again (UTC)     reason         detail",
        "3   2026-03-10 12:03:00  2026-03-11 12:00:00  invalid_event  bad\\x1b[2J\\nthing",
        "",
        "1 dead letter(s): invalid_event 1",
    ]
    none = tell("list", "--reason", "invalid-event")
    assert none == "no dead letter matches; letters that were not sent again: not_a_message 1\n"
    execute(engine, "DELETE FROM dead_letters")
    assert tell("list") == "no dead letter matches; letters that were not sent again: none\n"


def test_list__filters(engine: Engine, tell: Tell) -> None:
    """Each filter alone and several together choose exactly the letters that they name."""
    quarantine(engine, NOT_JSON, b"[]", batch_id="first")
    quarantine(engine, NOT_JSON, b"[]", wrong(7), batch_id="second")
    execute(
        engine,
        "UPDATE dead_letters SET received_at = timestamptz '2026-03-10 00:00Z' + (id - 1) * interval '1 day'",
        "UPDATE dead_letters SET received_at = now() - interval '90 minutes' WHERE id = 5",
        "UPDATE dead_letters SET replayed_at = now() WHERE id IN (1, 4)",
    )

    def listed(*arguments: str) -> list[int]:
        return [json.loads(line)["id"] for line in tell("list", "--json", *arguments).splitlines()]

    assert listed() == [5, 3, 2]
    assert listed("--replayed") == [4, 1]
    assert listed("--all") == [5, 4, 3, 2, 1]
    assert listed("--all", "--reason", "not_json") == [3, 1]
    assert listed("--all", "--batch", "first") == [2, 1]
    assert listed("--all", "--since", "2026-03-12") == [5, 4, 3]
    assert listed("--all", "--until", "2026-03-12") == [2, 1]
    assert listed("--all", "--since", "2026-03-11T02:00:00+02:00", "--until", "2026-03-12T00:00:01Z") == [3, 2]
    assert listed("--all", "--since", "2h") == [5]
    assert listed("--all", "--until", "1h", "--since", "1d") == [5]
    assert listed("--since", "1h") == []
    assert listed("--all", "--reason", "not_a_message", "--batch", "second", "--limit", "1") == [4]


def test_list__json_is_one_object_a_line(engine: Engine) -> None:
    """Programs get every column, the message only if they ask, and people are told when there are more."""
    quarantine(engine, b"[]", NOT_JSON, batch_id="b")
    execute(engine, "UPDATE dead_letters SET received_at = timestamptz '2026-03-10 12:00:00.5Z'")
    ended = run("dead-letters", "list", "--json", "--limit", "1")
    assert ended.stderr == b"only the newest 1 are listed; --limit N lists more\n"
    expected = {
        "id": 2,
        "received_at": "2026-03-10T12:00:00.500000+00:00",
        "reason": "not_json",
        "detail": "message: must be JSON (str is not valid UTF-8: surrogates not allowed: line 1 column 1 (char 0))",
        "batch_id": "b",
        "raw_bytes": len(NOT_JSON),
        "raw_sha256": sha256(NOT_JSON).hexdigest(),
        "replayed_at": None,
    }
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [expected]
    both = run("dead-letters", "list", "--json", "--raw", "--limit", "2")
    first, second = map(json.loads, both.stdout.splitlines())
    assert (b64decode(first.pop("raw_base64")), b64decode(second["raw_base64"]), both.stderr) == (NOT_JSON, b"[]", b"")
    assert first == expected


def test_list__fits_a_terminal(engine: Engine) -> None:
    """On a terminal a letter is one line, however long its detail is."""
    quarantine(engine, wrong(7))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    subprocess.run(
        [*PARTICIPATION, "dead-letters", "list"], stdout=theirs, env=environment, timeout=SECONDS, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode().splitlines()
    os.close(ours)
    assert len(shown[1]) == 60
    assert shown[1].endswith("member_id: must be …")


# ---- show ----


def test_show__everything_about_a_letter(engine: Engine, tell: Tell) -> None:
    """Reason, times, batch, length, hash, the event in it and the message, for people and for programs."""
    raw = wrong(7)
    quarantine(engine, raw, batch_id="b")
    execute(
        engine,
        "UPDATE dead_letters SET received_at = timestamptz '2026-03-10 12:00Z', detail = 'member_id: is wrong', "
        "replayed_at = timestamptz '2026-03-11 12:00Z'",
    )
    assert tell("show", "1").splitlines() == [
        "dead letter   1",
        "reason        invalid_event",
        "detail        member_id: is wrong",
        "received      2026-03-10 12:00:00 UTC",
        "sent again    2026-03-11 12:00:00 UTC",
        "batch         b",
        f"length        {len(raw)} bytes",
        f"SHA-256       {sha256(raw).hexdigest()}",
        "",
        "event",
        *json.dumps(event(object_id="7", member_id=7), indent=2).splitlines(),
        "",
        "message",
        raw.decode(),
    ]
    shown = json.loads(tell("show", "1", "--json"))
    assert b64decode(shown.pop("raw_base64")) == raw
    assert shown == {
        "id": 1,
        "received_at": "2026-03-10T12:00:00+00:00",
        "reason": "invalid_event",
        "detail": "member_id: is wrong",
        "batch_id": "b",
        "raw_bytes": len(raw),
        "raw_sha256": sha256(raw).hexdigest(),
        "replayed_at": "2026-03-11T12:00:00+00:00",
        "event": event(object_id="7", member_id=7),
        "event_error": None,
        "names": {},
    }
    assert json.loads(tell("show", "1", "--event")) == event(object_id="7", member_id=7)


def test_show__letters_without_a_readable_event(engine: Engine, tell: Tell) -> None:
    """What cannot be read is said, and what to do about it; a letter that there is not is an error."""
    quarantine(engine, NOT_JSON, CUT_OFF, DEEP)
    for number, problem in enumerate(
        ("message: must be JSON", "the message was cut off", "the event is nested too deeply"), 1
    ):
        said = tell("show", str(number))
        assert f"\nevent\nnone can be read: {problem}" in said
        shown = json.loads(tell("show", str(number), "--json"))
        assert (shown["event"], shown["event_error"].startswith(problem)) == (None, True)
        refused = run("dead-letters", "show", str(number), "--event", code=2)
        assert refused.stderr.startswith(f"error: no event can be read from dead letter {number} ({problem}".encode())
        assert (refused.stdout, refused.stderr.count(b"\n")) == (b"", 1)
    assert "70,001 bytes, of which the first 65,536 are kept" in tell("show", "2")
    unknown = b"error: there is no dead letter 4: see `participation dead-letters list --all`\n"
    assert run("dead-letters", "show", "4", code=2).stderr == unknown


def test_show__hostile_bytes_print_no_control_characters(engine: Engine, tell: Tell) -> None:
    """Nothing in a message, an event or a detail reaches the terminal as anything but printable characters."""
    evil = "".join(map(chr, range(1, 0x250))) + "\u200b\u2028\u202e\ufeff\U000e0001"
    hostile = event(member_id=7, object_id=evil, metadata={evil: [evil]})
    quarantine(
        engine, bytes(range(256)), b'"\x1b]0;owned\x07', message.encode(hostile), json.dumps({"\x9b": 1}).encode()
    )
    execute(engine, "UPDATE dead_letters SET detail = E'\\x1b[2J\\r\\n\\u009b\\u202e', batch_id = E'\\x1b\\u0007'")
    commands = [("list",), ("list", "--json", "--raw")]
    commands += [("show", str(number), *how) for number in range(1, 5) for how in ((), ("--json",))]
    for command in (*commands, ("show", "3", "--event")):
        printed = tell(*command)
        assert printed.replace("\n", "").isprintable(), command
    assert json.loads(tell("show", "3", "--event")) == hostile


# ---- replay ----


def test_replay__what_is_still_wrong_is_dead_again_and_does_not_loop(
    engine: Engine, redis: Redis, tmp_path: Path
) -> None:
    """Each letter is sent once and marked, and becomes one new letter; the new ones are not part of this replay."""
    quarantine(engine, *map(wrong, range(450)))
    with running(tmp_path / "worker.log"):
        assert replay("--all", code=1) == [
            "chosen 450   sent 450   left 0",
            "stored 0   duplicates 0   dead again 450   sent as they came 0",
            "450 event(s) became new dead letters: list them with `participation dead-letters list`",
        ]
    old = [(number, "invalid_event", True) for number in range(1, 451)]
    assert letters(engine) == [*old, *[(number, "invalid_event", False) for number in range(451, 901)]]
    assert not redis.exists(keys.EVENTS)
    assert replay("1", "3", "3", code=1) == [
        "chosen 2   sent 0   left 2",
        "stored 0   duplicates 0   dead again 0   sent as they came 0",
        "2 letter(s) were not sent: they were sent again before, or another replay is sending them",
    ]
    assert not redis.exists(keys.EVENTS)


def test_replay__letters_that_come_meanwhile_are_not_part_of_it(engine: Engine, redis: Redis) -> None:
    """A letter that is written while others are sent stays for the next replay, so none is sent for ever."""
    quarantine(engine, wrong(7))
    execute(
        engine,
        """
        CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO dead_letters (reason, detail, raw, raw_bytes, raw_sha256, batch_id)
            SELECT reason, detail, raw, raw_bytes, raw_sha256, batch_id FROM dead_letters LIMIT 1;
            RETURN NULL;
        END $$
        """,
        "CREATE TRIGGER again AFTER UPDATE ON dead_letters FOR EACH STATEMENT EXECUTE FUNCTION again()",
    )
    assert replay("--all", "--no-wait") == ["chosen 1   sent 1   left 0"]
    assert letters(engine) == [(1, "invalid_event", True), (2, "invalid_event", False)]
    assert redis.llen(keys.EVENTS) == 1


def test_replay__what_the_database_takes_now_is_stored(engine: Engine, tmp_path: Path) -> None:
    """Events that PostgreSQL refused are stored after the cause was put right, unchanged; a repeat is a duplicate."""
    execute(engine, "ALTER TABLE participation_events ALTER member_id TYPE varchar(5)")
    events = [event(object_id=str(number), member_id="culprit") for number in range(300)]
    quarantine(engine, NOT_JSON, *map(message.encode, events), message.encode(events[0]))
    execute(engine, "ALTER TABLE participation_events ALTER member_id TYPE text")
    with running(tmp_path / "worker.log"):
        assert replay("--reason", "rejected") == [
            "chosen 301   sent 301   left 0",
            "stored 300   duplicates 1   dead again 0   sent as they came 0",
        ]
    expected = [(1, "not_json", False), *[(number, "rejected", True) for number in range(2, 303)]]
    assert letters(engine) == expected
    stored = query(engine, "SELECT member_id, object_id FROM participation_events")
    assert sorted(stored) == sorted(("culprit", str(number)) for number in range(300))


def test_replay__repaired_event_goes_instead_of_what_came(engine: Engine, redis: Redis, tmp_path: Path) -> None:
    """The event that `show` prints is corrected in a file, or on standard input, and stored."""
    quarantine(engine, wrong(7), CUT_OFF)
    file = tmp_path / "event.json"
    file.write_bytes(run("dead-letters", "show", "1", "--event").stdout)
    refused = run("dead-letters", "replay", "1", "--event", file, code=2).stderr.decode()
    assert refused.startswith(f"error: {file}: member_id: must be a string")
    assert refused.endswith("; got 7; nothing was sent\n")
    assert b"-: event: must be one JSON object (" in run("dead-letters", "replay", "1", "--event", "-", code=2).stderr
    assert letters(engine) == [(1, "invalid_event", False), (2, "not_json", False)]
    assert not redis.exists(keys.EVENTS)
    file.write_text("\ufeff" + file.read_text().replace('"member_id": 7', '"member_id": "seven"'))
    done = ["chosen 1   sent 1   left 0", "stored 1   duplicates 0   dead again 0   sent as they came 0"]
    with running(tmp_path / "worker.log"):
        assert replay("1", "--event", file) == done
        assert replay("2", "--event", "-", given=json.dumps(event(object_id="8")).encode()) == done
    assert letters(engine) == [(1, "invalid_event", True), (2, "not_json", True)]
    assert query(engine, "SELECT member_id, object_id FROM participation_events ORDER BY object_id") == [
        ("seven", "7"),
        ("ada", "8"),
    ]


def test_replay__what_was_cut_off_is_left_and_what_cannot_be_read_goes_as_it_came(engine: Engine, redis: Redis) -> None:
    """A message that is not whole stays, unmarked and named; one without an event goes byte by byte."""
    quarantine(engine, NOT_JSON, CUT_OFF, DEEP, wrong(7))
    assert replay("--all", "--no-wait", code=1) == [
        "chosen 4   sent 3   left 1",
        "2 message(s) were sent unchanged, because no event can be read from them: they become dead letters again, "
        "unless a newer version of the workers can read them",
        "1 letter(s) were not sent, because their message was cut off: 2; send each with `replay ID --event FILE`",
    ]
    assert letters(engine) == [
        (1, "not_json", True),
        (2, "not_json", False),
        (3, "invalid_event", True),
        (4, "invalid_event", True),
    ]
    waiting = queued(redis)
    assert waiting[1:] == [DEEP, NOT_JSON]
    assert message.decode(waiting[0]).argument == event(object_id="7", member_id=7)
    assert replay("--all", "--no-wait", code=1)[0] == "chosen 1   sent 0   left 1"
    assert redis.llen(keys.EVENTS) == 3


def test_replay__unknown_id_sends_nothing(engine: Engine, redis: Redis) -> None:
    """A mistyped id stops it before anything is sent, and so does nothing to choose without being an error."""
    quarantine(engine, wrong(7))
    refused = run("dead-letters", "replay", "1", "3", "2", code=2)
    assert refused.stderr == b"error: there is no dead letter 2, 3: see `participation dead-letters list --all`\n"
    assert replay("--reason", "rejected", "--no-wait") == ["chosen 0   sent 0   left 0"]
    assert letters(engine) == [(1, "invalid_event", False)]
    assert not redis.exists(keys.EVENTS)


def test_replay__two_at_once_send_no_letter_twice(engine: Engine, redis: Redis) -> None:
    """Both hold letters at the same time, each its own, and together they send all of them once."""
    # So that the first does not give up before the second is there.
    patient = f"from participation.cli import connections, main; connections.REDIS_TIMEOUT_SECONDS = {SECONDS}; main()"
    quarantine(engine, *map(wrong, range(300)))
    redis.client_pause(int(SECONDS * 1000), all=False)  # writes wait: each stands between choosing and sending
    try:
        command = [sys.executable, "-c", patient, "dead-letters", "replay", "--all", "--no-wait"]
        both = [spawn(command, signal.SIGKILL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        holding = "state = 'idle in transaction' AND query LIKE '%dead_letters%' AND datname = current_database()"
        eventually(lambda: query(engine, f"SELECT count(*) FROM pg_stat_activity WHERE {holding}") == [(2,)])
    finally:
        redis.client_unpause()
    said = [process.communicate(timeout=SECONDS)[0].decode().split() for process in both]
    assert sorted(words[3] for words in said) == ["100", "200"]
    assert [words[1] for words in said] == ["300", "300"]
    sent = [message.decode(raw).argument for raw in queued(redis)]
    assert sorted(item["member_id"] for item in sent) == [*range(300)]  # type: ignore[index]
    assert letters(engine) == [(number, "invalid_event", True) for number in range(1, 301)]


@pytest.mark.parametrize("killed", ["command", "connection"])
def test_replay__killed_after_sending_and_before_marking_loses_nothing(
    engine: Engine, redis: Redis, tmp_path: Path, killed: str
) -> None:
    """The letters stay as they were, the next replay sends them a second time, and each event is stored once."""
    execute(
        engine,
        "ALTER TABLE participation_events ALTER member_id TYPE varchar(5)",
        """
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(1); RETURN new; END $$
        """,
    )
    quarantine(engine, *[message.encode(event(object_id=str(number), member_id="culprit")) for number in range(50)])
    execute(
        engine,
        "ALTER TABLE participation_events ALTER member_id TYPE text",
        "CREATE TRIGGER wait BEFORE UPDATE ON dead_letters FOR EACH STATEMENT EXECUTE FUNCTION wait()",
    )
    waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with engine.connect() as holder:
        holder.execute(text("SELECT pg_advisory_lock(1)"))
        command = [*PARTICIPATION, "dead-letters", "replay", "--all", "--no-wait"]
        process = spawn(command, signal.SIGKILL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        eventually(lambda: len(query(engine, waiting)) == 1)
        assert redis.llen(keys.EVENTS) == 50
        if killed == "command":
            kill(process)
        else:
            execute(engine, f"SELECT pg_terminate_backend(({waiting}))")
        _, said = process.communicate(timeout=SECONDS)
        holder.execute(text("SELECT pg_advisory_unlock(1)"))
    if killed == "connection":
        assert process.returncode == 2
        assert said.startswith(b"error: PostgreSQL: ")
        assert said.count(b"\n") == 1
    assert letters(engine) == [(number, "rejected", False) for number in range(1, 51)]
    execute(engine, "DROP TRIGGER wait ON dead_letters")
    with running(tmp_path / "worker.log"):
        assert wait_until(lambda: query(engine, "SELECT count(*) FROM participation_events") == [(50,)], SECONDS)
        assert replay("--all") == [
            "chosen 50   sent 50   left 0",
            "stored 0   duplicates 50   dead again 0   sent as they came 0",
        ]
    assert letters(engine) == [(number, "rejected", True) for number in range(1, 51)]
    assert query(engine, "SELECT count(*) FROM participation_events") == [(50,)]


def test_replay__redis_that_refuses_leaves_the_letters(engine: Engine, redis: Redis) -> None:
    """A full Redis takes nothing: the letters stay unmarked, and the error says what happened."""
    quarantine(engine, wrong(7))
    redis.config_set("maxmemory", 1)
    try:
        refused = run("dead-letters", "replay", "--all", code=2)
    finally:
        redis.config_set("maxmemory", 0)
    assert refused.stderr.startswith(b"error: Redis did not acknowledge the events (")
    assert (refused.stdout, refused.stderr.count(b"\n")) == (b"", 1)
    assert letters(engine) == [(1, "invalid_event", False)]


def test_replay__error_in_the_middle_says_what_was_sent(engine: Engine, redis: Redis) -> None:
    """What was marked before the error stays marked, the rest can be replayed, and both are said."""
    quarantine(engine, *map(wrong, range(201)))
    execute(engine, "ALTER TABLE dead_letters ADD CHECK (id <> 201 OR replayed_at IS NULL)")
    refused = run("dead-letters", "replay", "--all", code=2).stderr.decode().splitlines()
    assert refused[0] == "200 of 201 letters were sent and marked before the command stopped"
    assert refused[1].startswith("error: 23514: ")
    assert len(refused) == 2
    assert [number for number, _, sent in letters(engine) if not sent] == [201]


def test_replay__interrupted_while_it_waits_leaves_the_events_in_the_queue(
    engine: Engine, redis: Redis, tmp_path: Path
) -> None:
    """Without a worker it waits; Ctrl-C loses nothing, for what was sent is in the queue and marked."""
    quarantine(engine, wrong(7))
    log = tmp_path / "replay.log"
    blocked = "SELECT count(*) FROM pg_locks WHERE relation = CAST('import_counts' AS regclass) AND NOT granted"
    with engine.connect() as holder:
        holder.execute(text("LOCK TABLE import_counts IN ACCESS EXCLUSIVE MODE"))
        with log.open("wb") as output:
            command = [*PARTICIPATION, "dead-letters", "replay", "--all"]
            process = spawn(command, signal.SIGKILL, stdout=output, stderr=output)
        eventually(lambda: query(engine, blocked) == [(1,)])
        process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130
    assert b"interrupted: the 1 accepted events are in the queue" in log.read_bytes()
    assert redis.llen(keys.EVENTS) == 1
    assert letters(engine) == [(1, "invalid_event", True)]


# ---- purge ----


def test_purge__deletes_what_is_old_and_nothing_else(engine: Engine, tell: Tell) -> None:
    """Age, reason and whether it was sent again choose; a dry run only counts; more than one chunk is deleted."""
    quarantine(engine, NOT_JSON, b"[]", NOT_JSON, wrong(7), NOT_JSON)
    execute(
        engine,
        "UPDATE dead_letters SET received_at = now() - interval '31 days' WHERE id <= 4",
        "UPDATE dead_letters SET replayed_at = now() WHERE id IN (2, 3, 5)",
    )

    def purge(*arguments: str) -> tuple[str, list[int]]:
        said = tell("purge", "--older-than", *arguments)
        return said.split(" received before ")[0] + said.split(" UTC")[-1].rstrip(), [row[0] for row in letters(engine)]

    assert purge("30d", "--dry-run") == ("4 dead letter(s) would be deleted", [1, 2, 3, 4, 5])
    assert purge("32d") == ("0 dead letter(s) deleted", [1, 2, 3, 4, 5])
    assert purge("30d", "--reason", "not_json", "--replayed") == ("1 dead letter(s) deleted", [1, 2, 4, 5])
    assert purge("30d", "--replayed", "--dry-run") == ("1 dead letter(s) would be deleted", [1, 2, 4, 5])
    assert purge("30d", "--reason", "not_json") == ("1 dead letter(s) deleted", [2, 4, 5])
    assert purge("2000-01-01") == ("0 dead letter(s) deleted", [2, 4, 5])
    assert purge("30d") == ("2 dead letter(s) deleted", [5])
    execute(
        engine,
        """
        INSERT INTO dead_letters (received_at, reason, detail, raw, raw_bytes, raw_sha256, batch_id)
        SELECT now() - interval '5 weeks', 'not_json', '', '', 0, '', 'b' FROM generate_series(1, 5000)
        """,
    )
    assert purge("4w") == ("5,000 dead letter(s) deleted", [5])


def test_purge__leaves_what_a_replay_has_in_hand(engine: Engine) -> None:
    """A letter that is just being sent again is not deleted, and not waited for."""
    quarantine(engine, wrong(7), wrong(8))
    with engine.connect() as connection:
        connection.execute(text("SELECT FROM dead_letters WHERE id = 1 FOR UPDATE"))
        assert run("dead-letters", "purge", "--older-than", "0h").stdout.startswith(b"1 dead letter(s) received before")
    assert letters(engine) == [(1, "invalid_event", False)]
