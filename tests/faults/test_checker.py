"""The checker finds nothing wrong where nothing is, and each way of breaking it under the right invariant."""

import base64
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from participation import keys, message
from participation.demo.simulation import simulate
from participation.highlights.compute import compute_day
from participation.ingest.flush import store_elements
from participation.local.postgres import Postgres
from participation.local.processes import free_port
from participation.local.valkey import Valkey
from participation.store.database import connect, transaction
from participation.store.days import due
from tests.faults.checker import CannotCheck, Report, check, main
from tests.rows import event

ROOT = Path(__file__).parents[2]
COMPUTE = [sys.executable, "-c", "from participation.cli import main; main()", "highlights", "compute"]

LIVE = [
    {**each, "metadata": {"at": 17.5, **each.get("metadata", {})}} for each in simulate(7, 2, 1, ends=date(2026, 3, 30))
]
VICTIM = event(
    community_id="harbour",
    actor_kind="bot",  # so that no highlight changes with it
    channel_id="deck",
    object_id="victim",
    object_author_id="ada",
    metadata={"n": 1, "deep": {"f": [1e17, -0.0, 0.1]}},
    event_id="0D9C7C3A-4B42-4A5C-8A39-0C5C1C1E5B0F",
)
REFUSED = event(object_id="refused", occurred_at="1999-12-31T23:59:59Z")
UNSURE = event(community_id="garden", object_id="unsure")
NEVER = event(object_id="never")
NOTHING, LONG = b"nothing \xff", b'"' + b"x" * 70_000 + b'"'

VICTIMS = "UPDATE participation_events SET {} WHERE object_id = 'victim'"
COPY = """
INSERT INTO participation_events
SELECT community_id, occurred_at + {later}, {event_id}, platform, event_type, channel_id, member_id, {object_id},
    object_author_id, actor_kind, metadata FROM participation_events WHERE object_id = 'victim'
"""
LETTER = """
INSERT INTO dead_letters (reason, detail, raw, raw_bytes, raw_sha256, batch_id, replayed_at)
SELECT reason, '', {raw}, length({raw}), sha256({raw}), batch_id, {replayed_at}
FROM dead_letters WHERE reason = '{reason}' LIMIT 1;
"""
AGAIN = """
INSERT INTO dead_letters (reason, detail, raw, raw_bytes, raw_sha256, batch_id, replayed_at)
SELECT reason, detail, raw, raw_bytes, raw_sha256, batch_id, {replayed_at}
FROM dead_letters WHERE reason = '{reason}' LIMIT 1;
"""
STORED_TOO = f"'{message.encode(VICTIM).decode()}'::bytea"
ONE_MORE_DEAD = """
INSERT INTO ingest_batches (batch_id, received, dead, started_at) VALUES ('one more', 1, 1, now());
"""
SURPLUS = """
INSERT INTO member_daily_highlights
SELECT community_id, {day}, 'nobody', 1, 0, 0, 0, 1, 1 FROM member_daily_highlights LIMIT 1
"""
NAMES = [
    {
        "kind": "account",
        "community_id": "harbour",
        "platform": "irc",
        "id": "ada",
        "name": name,
        "seen_at": f"2026-03-10T1{number}:00:00.000000Z",
    }
    for number, name in ((2, "Ada L."), (1, "Ada"))
]
ONE_DAY = "WHERE (community_id, highlight_date) = ('harbour', '2026-03-29')"

BROKEN: dict[str, tuple[str, set[str]]] = {
    "a row is gone": ("DELETE FROM participation_events WHERE object_id = 'victim'", {"I1", "I4"}),
    "a letter is gone": ("DELETE FROM dead_letters WHERE reason = 'not_a_message'", {"I1", "I4"}),
    "one of two equal letters is gone": (
        "DELETE FROM dead_letters WHERE id = (SELECT max(id) FROM dead_letters WHERE reason = 'not_json')",
        {"I1", "I4"},
    ),
    "the letter of an event is gone": ("DELETE FROM dead_letters WHERE reason = 'invalid_event'", {"I1", "I4"}),
    "a row from nowhere": (
        COPY.format(later="'0'::interval", event_id="gen_random_uuid()", object_id="'nobody'"),
        {"I1", "I4"},
    ),
    "a letter from nowhere": (
        LETTER.format(raw=r"'\x00ff'::bytea", replayed_at="NULL", reason="not_json"),
        {"I1", "I4"},
    ),
    "a row twice": (
        COPY.format(later="'0'::interval", event_id="gen_random_uuid()", object_id="object_id"),
        {"I2", "I4", "I5"},
    ),
    "a row again a microsecond later": (
        COPY.format(later="'1 microsecond'::interval", event_id="event_id", object_id="object_id"),
        {"I1", "I2", "I4"},
    ),
    "a letter twice": (AGAIN.format(replayed_at="NULL", reason="not_json"), {"I2", "I4"}),
    "a letter more often than it was sent": (
        AGAIN.format(replayed_at="NULL", reason="not_a_message") * 2,
        {"I2", "I4"},
    ),
    "the letter of an event twice": (
        AGAIN.format(replayed_at="NULL", reason="invalid_event"),
        {"I2", "I4"},
    ),
    "a letter of a stored event": (
        ONE_MORE_DEAD + LETTER.format(raw=STORED_TOO, replayed_at="NULL", reason="invalid_event"),
        {"I2"},
    ),
    "a batch that received more": ("UPDATE ingest_batches SET received = received + 1", {"I4"}),
    "a batch that stored what is not there": (
        "UPDATE ingest_batches SET received = received + 1, stored = stored + 1",
        {"I4"},
    ),
    "a batch with fewer than nothing": (
        "INSERT INTO ingest_batches (batch_id, received, duplicates, started_at) VALUES ('x', -1, -1, now())",
        {"I4"},
    ),
    "other metadata": (VICTIMS.format("metadata = jsonb_set(metadata, '{n}', 'true')"), {"I5"}),
    "metadata null": (VICTIMS.format("metadata = 'null'"), {"I5"}),
    "another actor": (VICTIMS.format("actor_kind = 'webhook'"), {"I5"}),
    "a null": (VICTIMS.format("object_author_id = NULL"), {"I5"}),
    "another event_id": (VICTIMS.format("event_id = gen_random_uuid()"), {"I5"}),
    "another member": (VICTIMS.format("member_id = 'grace'"), {"I1"}),
    "another time": (VICTIMS.format("occurred_at = occurred_at + interval '1 microsecond'"), {"I1"}),
    "a null in what makes it one": (VICTIMS.format("channel_id = NULL"), {"I1"}),
    "another reason": ("UPDATE dead_letters SET reason = 'bad_body' WHERE reason = 'not_a_message'", {"I5"}),
    "cut off earlier": ("UPDATE dead_letters SET raw = substr(raw, 1, 60000) WHERE raw_bytes > 65536", {"I5"}),
    "other bytes": ("UPDATE dead_letters SET raw = set_byte(raw, 0, 1) WHERE raw_bytes > 65536", {"I5"}),
    "another hash": (r"UPDATE dead_letters SET raw_sha256 = '\x00' WHERE raw_bytes > 65536", {"I5"}),
    "another length": ("UPDATE dead_letters SET raw_bytes = raw_bytes + 1 WHERE raw_bytes > 65536", {"I5"}),
    "a name is gone": ("DELETE FROM account_names", {"I8"}),
    "an earlier name": ("UPDATE account_names SET name = 'Ada', seen_at = '2026-03-10T11:00:00Z'", {"I8"}),
    "another name": ("UPDATE account_names SET name = 'Eve'", {"I8"}),
    "a member's day changed": (
        f"UPDATE member_daily_highlights SET voice_minutes = voice_minutes + 1 {ONE_DAY}",
        {"I6"},
    ),
    "a member's day missing": (
        f"DELETE FROM member_daily_highlights WHERE ctid = (SELECT min(ctid) FROM member_daily_highlights {ONE_DAY})",
        {"I6"},
    ),
    "a member's day too many": (SURPLUS.format(day="highlight_date"), {"I6"}),
    "a day without events": (SURPLUS.format(day="date '2020-01-01'"), {"I6"}),
    "a community's day changed": (f"UPDATE community_daily_highlights SET peak_hour = NULL {ONE_DAY}", {"I6"}),
    "a community's day missing": (f"DELETE FROM community_daily_highlights {ONE_DAY}", {"I6"}),
    "another zone than was computed in": ("UPDATE communities SET timezone = 'Asia/Tokyo'", {"I6"}),
    "a link that was not computed": (
        "INSERT INTO member_accounts (platform, account_id, person_id) "
        "SELECT platform, member_id, 'somebody' FROM participation_events WHERE actor_kind = 'user'"
        " AND event_type = 'MESSAGE_SENT' LIMIT 1",
        {"I6"},
    ),
}

FINE: dict[str, str] = {
    "a letter of a stored event that was replayed": ONE_MORE_DEAD
    + LETTER.format(raw=STORED_TOO, replayed_at="now()", reason="invalid_event"),
    "a letter again after a replay": ONE_MORE_DEAD + AGAIN.format(replayed_at="now()", reason="not_json"),
    "an ambiguous element that arrived": ONE_MORE_DEAD + AGAIN.format(replayed_at="NULL", reason="not_a_message"),
    "equal numbers written differently": VICTIMS.format("metadata = jsonb_set(metadata, '{n}', '1.0')"),
    "an ambiguous event that is not there": "UPDATE ingest_batches SET stored = stored - 1, received = received - 1 "
    "WHERE stored > 0 AND batch_id = 'second'; DELETE FROM participation_events WHERE object_id = 'unsure'; "
    "DELETE FROM member_daily_highlights WHERE community_id = 'garden'; "
    "DELETE FROM community_daily_highlights WHERE community_id = 'garden'",
}

_numbers = count(1)


@dataclass
class System:
    """A system at rest: servers, and the ledgers of who has sent what is in them."""

    database_url: str
    redis_url: str
    ledgers: Path

    def check(self, **options: Any) -> Report:
        return check(self.ledgers, self.database_url, self.redis_url, **{"within": 0.0, **options})

    def main(self, *more: str) -> int:
        urls = ["--database-url", self.database_url, "--redis-url", self.redis_url]
        return main(["--ledgers", str(self.ledgers), *urls, "--within", "0", *more])

    def sql(self, statements: str) -> None:
        engine = connect(self.database_url)
        with transaction(engine) as connection:
            connection.exec_driver_sql(statements.replace("%", "%%"))
        engine.dispose()


def raw_line(raw: bytes, reason: str) -> dict[str, str]:
    return {"raw": base64.b64encode(raw).decode(), "reason": reason}


def write(file: Path, lines: Sequence[dict[str, Any]]) -> None:
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def fill(url: str) -> None:
    """Send through the real code what `keep_ledgers` writes down, and compute the days."""
    engine = connect(url)
    first = [message.encode(each) for each in [*LIVE, VICTIM, REFUSED]]
    second = [message.encode(each) for each in [*LIVE[:50], UNSURE]]
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO communities (community_id, timezone) VALUES ('harbour', 'Europe/Berlin')"))
    store_elements(engine, "first", [NOTHING, *first])
    store_elements(engine, "second", [*second, LONG, NOTHING])
    store_elements(engine, "third", [message.encode_call(keys.NOTE_NAMES, json.dumps(NAMES).encode())])
    with transaction(engine) as connection:
        for day in due.list_due(connection):
            compute_day(connection, *day)
    engine.dispose()


def keep_ledgers(folder: Path) -> None:
    half = len(LIVE) // 2
    sent = [{"event": each} for each in [*LIVE, VICTIM, REFUSED]]
    write(folder / "bot0.accepted", [*sent[:half], raw_line(NOTHING, "not_json"), *sent[:50]])
    write(folder / "bot1.accepted", [*sent[half:], raw_line(NOTHING, "not_json"), raw_line(LONG, "not_a_message")])
    write(folder / "bot0.names", [{"name": each, "accepted": True} for each in NAMES])
    write(folder / "bot1.ambiguous", [*sent[:3], {"event": UNSURE}, {"event": NEVER}, raw_line(LONG, "not_a_message")])


@pytest.fixture(scope="module")
def filled(administrator: Engine, postgres: Postgres, migrated: str) -> str:
    """URL of a database after some events, from which the tests' own are copied."""
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE DATABASE filled TEMPLATE {migrated}"))
    url = f"{postgres.url.rpartition('/')[0]}/filled"
    fill(url)
    return url


@pytest.fixture
def system(administrator: Engine, filled: str, valkey: Valkey, redis: Redis, tmp_path: Path) -> Iterator[System]:
    name = f"checked_{next(_numbers)}"
    ledgers = tmp_path / "ledgers"
    ledgers.mkdir()
    keep_ledgers(ledgers)
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE filled"))
        yield System(f"{filled.rpartition('/')[0]}/{name}", valkey.url, ledgers)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_check__all_hold_where_nothing_is_broken(system: System) -> None:
    """Stored, dead, duplicate and ambiguous events are told apart and counted."""
    report = system.check()
    assert not report.broken, report
    distinct = {(each["platform"], each["object_id"]) for each in LIVE if each["event_type"] == "MESSAGE_SENT"}
    assert report.stored > len(distinct) > 100
    assert (report.dead, report.lost, report.double) == (4, 0, 0)
    assert report.accepted == report.stored + report.dead
    assert (report.ambiguous, report.there) == (3, 1)
    assert report.rest_seconds is not None
    assert report.notes == []


@pytest.mark.parametrize(("statements", "broken"), BROKEN.values(), ids=BROKEN)
def test_check__what_is_broken_in_the_tables_is_found(system: System, statements: str, broken: set[str]) -> None:
    """Each way of breaking the tables breaks its invariant, and no other."""
    system.sql(statements)
    report = system.check()
    assert report.broken == broken, report
    assert all(report.verdicts[name].examples for name in broken)


@pytest.mark.parametrize("statements", FINE.values(), ids=FINE)
def test_check__what_may_differ_is_not_found(system: System, statements: str) -> None:
    """Replays, ambiguous attempts and another way to write a number are no violations."""
    system.sql(statements)
    report = system.check()
    assert not report.broken, report


@pytest.mark.parametrize(("replayed_at", "broken"), [("now()", set()), ("NULL", {"I1"})], ids=["replayed", "waits"])
def test_check__event_out_of_a_letter_is_there_by_a_replay_only(
    system: System, replayed_at: str, broken: set[str]
) -> None:
    """What was refused, and known to the ledgers as bytes, may be stored once its letter was replayed."""
    early = {**VICTIM, "object_id": "early", "event_id": str(UUID(int=1))}
    raw = message.encode(early)
    write(system.ledgers / "bot2.accepted", [raw_line(raw, "invalid_event")])
    system.sql(
        ONE_MORE_DEAD
        + LETTER.format(raw=f"'{raw.decode()}'::bytea", replayed_at=replayed_at, reason="invalid_event")
        + "UPDATE ingest_batches SET received = received + 1, stored = stored + 1 WHERE batch_id = 'first';"
        + COPY.format(later="'0'::interval", event_id=f"'{early['event_id']}'::uuid", object_id="'early'")
    )
    report = system.check()
    assert report.broken == broken, report


@pytest.mark.parametrize(
    "key",
    [keys.EVENTS, keys.EVENT_LISTS[3], keys.batch("0" * 32), keys.FLUSH],
    ids=["events", "other", "batch", "flush"],
)
def test_check__a_list_that_is_left_is_found(system: System, redis: Redis, key: str) -> None:
    """A message or pointer that nobody took is no rest."""
    redis.lpush(key, "x")
    report = system.check()
    assert report.broken == {"I3", "I7"}, report
    assert repr(key) in report.verdicts["I3"].examples[0]


def test_check__an_open_batch_is_found(system: System, redis: Redis) -> None:
    """An entry in the index of open batches is no rest."""
    redis.zadd(keys.BATCHES, {"0" * 32: 1.0})
    assert system.check().broken == {"I3", "I7"}


def test_check__a_file_in_a_spool_is_found(system: System, tmp_path: Path) -> None:
    """What a bot has not sent yet is no rest."""
    spool = tmp_path / "spool"
    spool.mkdir()
    assert not system.check(spools=[spool]).broken
    (spool / "1").touch()
    assert system.check(spools=[spool]).broken == {"I3", "I7"}


def test_check__other_keys_may_stay(system: System, redis: Redis) -> None:
    """What Celery and imports keep in Redis is no backlog."""
    redis.sadd("_kombu.binding.participation.events", "x")
    redis.set(keys.import_progress("x"), 1)
    assert not system.check().broken


def test_check__a_backlog_that_goes_in_time_is_no_violation(system: System, redis: Redis) -> None:
    """The checker waits for rest before it judges."""
    redis.lpush(keys.EVENTS, "x")
    redis.pexpire(keys.EVENTS, 300)
    assert not system.check(within=60.0).broken


def test_check__computes_twice(system: System, tmp_path: Path) -> None:
    """A computation that does not give the same rows again is found, as is one that gives none or fails."""
    url = shlex.quote(system.database_url)
    script = tmp_path / "compute.py"
    script.write_text(
        f"import psycopg2\nwith psycopg2.connect({url!r}) as connection:\n"
        "    connection.cursor().execute('UPDATE member_daily_highlights SET active_hours = active_hours + 1')\n"
    )
    report = system.check(compute=[sys.executable, str(script)])
    assert report.broken == {"I6"}
    assert "computing again changed a row" in report.verdicts["I6"].examples[0]
    assert "code 1" in system.check(compute=["false"]).verdicts["I6"].examples[0]


def test_check__day_that_was_never_computed_is_found(system: System) -> None:
    """After a computation of everything, a day of users' events must have its rows."""
    system.sql("TRUNCATE member_daily_highlights, community_daily_highlights")
    assert not system.check().broken
    assert system.check(compute=["true"]).broken == {"I6"}


def test_check__torn_last_line_is_ignored(system: System) -> None:
    """A producer that was killed while it wrote leaves half a line, of which the report tells."""
    with (system.ledgers / "bot0.accepted").open("a") as ledger:
        ledger.write('{"event": {"event_ty')
    report = system.check()
    assert not report.broken
    assert len(report.notes) == 1
    assert "bot0.accepted" in str(report)


@pytest.mark.parametrize(
    "line", ['{"event"', "[]", '{"event": 1}', '{"raw": "§", "reason": "x"}', '{"raw": ""}', '{"raw": "", "event": {}}']
)
def test_check__broken_line_cannot_be_checked(system: System, line: str) -> None:
    """A ledger that cannot be read proves nothing."""
    (system.ledgers / "bot2.accepted").write_text(f"{line}\n" + json.dumps({"event": VICTIM}) + "\n")
    with pytest.raises(CannotCheck, match=r"bot2\.accepted at byte 0"):
        system.check()


def test_check__no_ledgers_cannot_be_checked(system: System, tmp_path: Path) -> None:
    """A folder without ledgers is a mistake, not a system without faults."""
    with pytest.raises(CannotCheck, match="no ledger"):
        check(tmp_path, system.database_url, system.redis_url, within=0.0)


def test_check__server_that_is_away_cannot_be_checked(system: System) -> None:
    """A server that does not come back in time is told as that."""
    with pytest.raises(CannotCheck, match="not there"):
        check(system.ledgers, system.database_url, f"redis://127.0.0.1:{free_port()}/0", within=0.0)


def test_checker__ends_with_a_code(system: System, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """0 if all holds, 1 if not, 2 if that could not be found out."""
    assert system.main() == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("I1 ok")
    system.sql(BROKEN["a row is gone"][0])
    assert system.main("--json", str(tmp_path / "report.json")) == 1
    assert "victim" in capsys.readouterr().out
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["lost"] == told["verdicts"]["I1"]["violations"] == 1
    (system.ledgers / "bot0.accepted").write_text("?\n")
    assert system.main() == 2
    assert capsys.readouterr().err.startswith("cannot check: ")


def test_checker__runs_as_a_program(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the root of the project, with the real computation, which finds its servers in the environment."""
    monkeypatch.setenv("DATABASE_URL", system.database_url)
    monkeypatch.setenv("REDIS_URL", system.redis_url)
    urls = ["--database-url", system.database_url, "--redis-url", system.redis_url]
    command = [sys.executable, "-m", "tests.faults.checker", "--ledgers", str(system.ledgers), *urls]
    compute = [*COMPUTE, "--community", "harbour", "--from", "2026-03-01", "--to", "2026-03-31"]
    done = subprocess.run(
        [*command, "--compute", shlex.join(compute)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "computed twice" in done.stdout


def test_checker__loads_nothing_of_the_package() -> None:
    """What judges the package shares no code with it."""
    script = "import sys, tests.faults.checker; print([n for n in sys.modules if n.startswith('participation')])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
