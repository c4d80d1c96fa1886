"""What the doctor makes of facts: each setting that a server can have, and what all findings say together."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from participation import keys
from participation.cli.doctor import _as_text
from participation.operations.doctor import clocks, postgresql, redis, work, zones
from participation.operations.doctor.clocks import Clock
from participation.operations.doctor.finding import Finding, Level, Report, fail, note, ok, warn, weak
from participation.operations.doctor.postgresql import Schema, Work
from participation.operations.status import QueueState
from participation.settings import Settings
from participation.store.communities.zones import ZoneInUse
from participation.store.schema.inspection import Tables
from participation.store.server import Server
from participation.store.status import StoredState

GIB = 1024**3
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)

INFO: dict[str, Any] = {
    "redis_version": "8.0.1",
    "role": "master",
    "connected_slaves": 0,
    "cluster_enabled": 0,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "aof_last_bgrewrite_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxmemory": GIB,
    "maxmemory_policy": "noeviction",
    "used_memory": GIB // 2,
}
CONFIG = {"appendfsync": "always", "no-appendfsync-on-rewrite": "no", "save": "", "stop-writes-on-bgsave-error": "yes"}
REDIS = redis.Facts(
    info=INFO,
    config=CONFIG,
    script_error=None,
    write_error=None,
    clock=Clock(0, 0),
    waiting=QueueState(0, 0, None),
    pointer_age_seconds=None,
)
SERVER = Server(
    settings={
        "server_version": "18.6",
        "server_version_num": "180006",
        "server_encoding": "UTF8",
        "fsync": "on",
        "synchronous_commit": "on",
        "synchronous_standby_names": "",
        "full_page_writes": "on",
        "data_checksums": "on",
        "transaction_read_only": "off",
        "default_transaction_read_only": "off",
        "max_connections": "100",
    },
    sources={},
    in_recovery=False,
    connections=5,
    role="ours",
    database="ours",
)
TABLES = Tables(gone=(), without_key=(), unlogged=(), lacking=(), makes_partitions=True)
WORK = Work(StoredState(NOW, NOW, 0, 0), None)
POSTGRESQL = postgresql.Facts(SERVER, Clock(0, 0), TABLES, Schema((), None, (), False), WORK)

Seen = dict[str, str]


def seen(findings: Any) -> Seen:
    """Name what is not well, each with its level; `weak` is a warning that takes from the promise."""
    found = list(findings)
    assert all(bool(each.meaning) == bool(each.cure) == (each.level is not Level.OK) for each in found), found
    return {each.name: "weak" if each.weakens else str(each.level) for each in found if each.level is not Level.OK}


def of_redis(config: dict[str, str] | None = None, **info: Any) -> Seen:
    return seen(redis.judge(replace(REDIS, info=INFO | info, config=CONFIG | (config or {}))))


def of_postgresql(**settings: str) -> Seen:
    return seen(postgresql.judge(replace(SERVER, settings={**SERVER.settings, **settings})))


def of_tables(**changed: Any) -> Seen:
    return seen(postgresql.judge_schema(replace(POSTGRESQL, tables=replace(TABLES, **changed))))


def of_schema(schema: Schema | str) -> Seen:
    return seen(postgresql.judge_schema(replace(POSTGRESQL, schema=schema)))


def test_judge__nothing_to_say_of_good_servers() -> None:
    """Servers as the documentation wants them give no finding but good ones."""
    assert of_redis() == of_redis(valkey_version="9.1.2", redis_version="7.2.4") == {}
    assert of_postgresql() == of_tables() == {}


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"redis_version": "7.0.0"}, {}),
        ({"redis_version": "6.2.14"}, {"server": "FAIL"}),
        ({"role": "slave"}, {"role": "FAIL"}),
        ({"connected_slaves": 2}, {"role": "note"}),
        ({"cluster_enabled": 1}, {"cluster": "FAIL"}),
        ({"aof_enabled": 0}, {"append-only file": "FAIL"}),
        ({"aof_last_write_status": "err"}, {"append-only file": "FAIL"}),
        ({"aof_last_bgrewrite_status": "err"}, {"append-only file": "warn"}),
        ({"rdb_last_bgsave_status": "err"}, {}),
        ({"maxmemory_policy": "allkeys-lru"}, {"maxmemory-policy": "FAIL"}),
        ({"maxmemory_policy": "allkeys-random", "maxmemory": 0}, {"maxmemory-policy": "warn", "memory": "note"}),
        ({"maxmemory_policy": "volatile-lru"}, {"maxmemory-policy": "warn"}),
        ({"maxmemory_policy": None}, {"maxmemory-policy": "weak"}),
        ({"maxmemory": 0}, {"memory": "note"}),
        ({"used_memory": int(GIB * 0.89)}, {}),
        ({"used_memory": int(GIB * 0.9) + 1}, {"memory": "warn"}),
        ({"used_memory": GIB}, {"memory": "warn"}),
    ],
)
def test_redis__info(info: dict[str, Any], said: Seen) -> None:
    """Version, role, persistence, eviction and memory as INFO tells them."""
    assert of_redis(**info) == said


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"appendfsync": "everysec"}, {"appendfsync": "weak"}),
        ({"appendfsync": "no"}, {"appendfsync": "weak"}),
        ({"no-appendfsync-on-rewrite": "yes"}, {"no-appendfsync-on-rewrite": "weak"}),
        ({"save": "3600 1"}, {}),
    ],
)
def test_redis__config(config: dict[str, str], said: Seen) -> None:
    """When a write is synced, as CONFIG GET tells it."""
    assert of_redis(config) == said


def test_redis__a_failed_snapshot_stops_writes() -> None:
    """Only where snapshots are made, and where a failed one matters to the server."""
    failed = {"rdb_last_bgsave_status": "err"}
    assert of_redis({"save": "3600 1"}, **failed) == {"snapshots": "FAIL"}
    assert of_redis({"save": "3600 1", "stop-writes-on-bgsave-error": "no"}, **failed) == {}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"config": None}, {"appendfsync": "weak"}),
        ({"config": {}}, {"appendfsync": "weak"}),
        ({"info": None}, {"server": "weak"}),
        ({"script_error": "unknown command 'EVAL'"}, {"scripts": "FAIL"}),
        ({"write_error": "MISCONF Errors writing to the AOF file"}, {"writes": "FAIL"}),
        ({"write_error": f"{redis.FULL} > 'maxmemory'."}, {"memory": "FAIL"}),
        ({"write_error": f"{redis.FULL} > 'maxmemory'.", "info": None}, {"server": "weak", "writes": "FAIL"}),
    ],
)
def test_redis__refusals(facts: dict[str, Any], said: Seen) -> None:
    """What a server refuses to tell is a warning, what it refuses to do is a failure; a full one is named once."""
    assert seen(redis.judge(replace(REDIS, **facts))) == said


def test_redis__memory_is_told_in_units_that_fit() -> None:
    """Sizes are told in bytes, KiB, MiB or GiB."""
    told = {n: redis.memory({"maxmemory": 0, "used_memory": n}).found.partition(" used")[0] for n in (0, 2048, 3 * GIB)}
    assert told == {0: "0 bytes", 2048: "2.0 KiB", 3 * GIB: "3.0 GiB"}


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (BusyLoadingError("loading"), "wait until"),
        (AuthenticationError("wrong"), "correct user, password"),
        (RedisConnectionError("refused"), "start it"),
    ],
)
def test_redis__unreachable(error: RedisError, cure: str) -> None:
    """Why it does not answer decides what to do."""
    finding = redis.unreachable(error)
    assert finding.level is Level.FAIL
    assert finding.cure.startswith(cure)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"server_version_num": "130012"}, {"server": "FAIL"}),
        ({"server_version_num": "140000"}, {"server": "warn"}),
        ({"server_version_num": "170002"}, {"server": "warn"}),
        ({"server_version_num": "190001"}, {}),
        ({"fsync": "off"}, {"fsync": "FAIL"}),
        ({"synchronous_commit": "off"}, {"synchronous_commit": "FAIL"}),
        ({"synchronous_commit": "local"}, {}),
        ({"synchronous_commit": "remote_write"}, {}),
        ({"synchronous_commit": "remote_apply"}, {}),
        ({"synchronous_commit": "local", "synchronous_standby_names": "b"}, {"synchronous_commit": "note"}),
        ({"synchronous_standby_names": "b"}, {"synchronous_commit": "note"}),
        ({"full_page_writes": "off"}, {"full_page_writes": "weak"}),
        ({"data_checksums": "off"}, {"data_checksums": "note"}),
        ({"transaction_read_only": "on"}, {"default_transaction_read_only": "FAIL"}),
        ({"server_encoding": "LATIN1"}, {"encoding": "FAIL"}),
        ({"max_connections": "6"}, {}),
        ({"max_connections": "5"}, {"connections": "warn"}),
    ],
)
def test_postgresql__settings(settings: dict[str, str], said: Seen) -> None:
    """Each setting that a commit, and what it holds, rests on."""
    assert of_postgresql(**settings) == said


def test_postgresql__standby() -> None:
    """A standby takes no writes, and is told apart from a primary that is read-only."""
    settings = {**SERVER.settings, "transaction_read_only": "on"}
    assert seen(postgresql.judge(replace(SERVER, in_recovery=True, settings=settings))) == {"role": "FAIL"}


@pytest.mark.parametrize(
    ("source", "cure"),
    [
        ("database", "`ALTER DATABASE ours SET synchronous_commit = on`"),
        ("user", "`ALTER ROLE ours SET synchronous_commit = on`"),
        ("database user", "`ALTER ROLE ours IN DATABASE ours SET synchronous_commit = on`"),
        ("client", "remove synchronous_commit from DATABASE_URL"),
        ("configuration file", "`ALTER SYSTEM SET synchronous_commit = on`"),
    ],
)
def test_postgresql__cure_is_for_where_it_was_set(source: str, cure: str) -> None:
    """A setting of a database is not put right in the configuration of the server."""
    settings = {**SERVER.settings, "synchronous_commit": "off"}
    server = replace(SERVER, settings=settings, sources={"synchronous_commit": source})
    assert postgresql.commit(server).cure.startswith(cure)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gone": ("due_days",)}, {"tables": "FAIL"}),
        ({"without_key": ("participation_events",)}, {"primary key": "FAIL"}),
        ({"unlogged": ("dead_letters",)}, {"tables": "FAIL"}),
        ({"lacking": ("INSERT on due_days",)}, {"rights": "FAIL"}),
        ({"makes_partitions": False}, {"rights": "FAIL"}),
    ],
)
def test_tables__shape_and_rights(changed: dict[str, Any], said: Seen) -> None:
    """A table that is not as it must be, or may not be used, is a failure."""
    assert of_tables(**changed) == said


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (Schema(("0001",), None, (), False), {"migrations": "FAIL"}),
        (Schema((), "9999", (), False), {"migrations": "warn"}),
        (Schema((), None, ("participation_events_2026_06",), False), {"partitions": "warn"}),
        (Schema((), None, ("participation_events_2026_03",), True), {"partitions": "warn"}),
        ("PostgreSQL refuses with 42501 (permission denied): correct what it names", {"migrations": "FAIL"}),
    ],
)
def test_schema__migrations_and_partitions(schema: Schema | str, said: Seen) -> None:
    """What is missing stops everything; what is newer, or not made ahead, does not."""
    assert of_schema(schema) == said


@pytest.mark.parametrize(
    ("ahead_seconds", "unsure_seconds", "level"),
    [
        (0.9, 0.0, Level.OK),
        (-1.5, 0.0, Level.WARN),
        (1.5, 1.0, Level.OK),
        (300.0, 0.0, Level.WARN),
        (301.0, 0.0, Level.FAIL),
        (-301.0, 0.5, Level.FAIL),
    ],
)
def test_clocks__apart(ahead_seconds: float, unsure_seconds: float, level: Level) -> None:
    """Apart is what cannot be the way there and back; more than five minutes make dead letters of events."""
    finding = clocks.judge("Redis", Clock(ahead_seconds, unsure_seconds), "x")
    assert finding.level is level
    assert level is Level.OK or ("ahead of" in finding.found) == (ahead_seconds > 0)


def test_clocks__compare_with_the_middle_of_the_question() -> None:
    """A server that answers with our own time is together with us, whatever the way takes."""
    assert clocks.compare(time.time).apart_seconds == pytest.approx(0, abs=0.001)
    ahead = clocks.compare(lambda: time.time() + 60)
    assert ahead.ahead_seconds == pytest.approx(60, abs=5)


FLUSH, NIGHTLY, EVENTS = keys.FLUSH, keys.NIGHTLY, keys.EVENTS


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ({}, {"workers": "warn"}),
        ({"a": [FLUSH, NIGHTLY]}, {}),
        ({"a": [FLUSH], "b": [NIGHTLY]}, {}),
        ({"a": [FLUSH]}, {"nightly": "warn"}),
        ({"other": ["celery"]}, {"workers": "warn"}),
        ({"a": [FLUSH, NIGHTLY, EVENTS]}, {"events queue": "weak"}),
    ],
)
def test_work__workers(workers: work.Workers, said: Seen) -> None:
    """Each queue of ours has a consumer, and the events none: they are claimed."""
    assert seen(work.workers(workers)) == said


@pytest.mark.parametrize(
    ("waiting", "pointer_age_seconds", "said"),
    [
        (QueueState(0, 0, None), None, {}),
        (QueueState(7, 1, 59.0), 100.0, {}),
        (QueueState(7, 0, 61.0), None, {"events": "warn"}),
        (QueueState(0, 1, None), 121.0, {"batches": "warn"}),
    ],
)
def test_work__queue(waiting: QueueState, pointer_age_seconds: float | None, said: Seen) -> None:
    """Events that wait for long, and batches that nobody hands out again, are told."""
    facts = replace(REDIS, waiting=waiting, pointer_age_seconds=pointer_age_seconds)
    assert seen(work.queue(facts, sweep_after_seconds=60)) == said


@pytest.mark.parametrize(
    ("dead_letters", "due_minutes", "said"),
    [(0, None, {}), (3, None, {"dead letters": "note"}), (0, 10, {}), (0, 11, {"days due": "warn"})],
)
def test_work__stored(dead_letters: int, due_minutes: int | None, said: Seen) -> None:
    """Dead letters are told; a day that waits for longer than two of Beat's questions is a warning."""
    since = None if due_minutes is None else NOW - timedelta(minutes=due_minutes)
    found = work.stored_work(Work(StoredState(NOW, None, dead_letters, 1), since), compute_interval_seconds=300)
    assert seen(found) == said


def test_work__judges_what_could_be_asked() -> None:
    """What a silent server would have told is left out."""
    settings = Settings()
    assert list(work.judge(settings, None, None, None)) == []
    names = [finding.name for finding in work.judge(settings, REDIS, WORK, {})]
    assert names == ["workers", "events", "batches", "dead letters", "days due"]


GOOD = ok("a", "on")
NOTE = note("b", "so", "it is so", "leave it")
WARNING = warn("c", "few", "few are left", "add some")
WEAK = weak("d", "everysec", "a second can be lost", "always")
FAILURE = fail("e", "off", "all is lost", "on")


@pytest.mark.parametrize(
    ("findings", "promise", "code", "verdict"),
    [
        ([GOOD, NOTE], "full", 0, "The full promise holds."),
        ([GOOD, WARNING], "full", 1, "The full promise holds, with a warning."),
        ([WARNING, WARNING], "full", 1, "The full promise holds, with 2 warnings."),
        ([WARNING, WEAK], "weaker", 1, "A weaker promise holds: a second can be lost."),
        ([WEAK, FAILURE, FAILURE], "broken", 2, "The promise is broken: all is lost."),
    ],
)
def test_report__verdict(findings: list[Finding], promise: str, code: int, verdict: str) -> None:
    """The worst finding decides, and what follows from it is said once."""
    report = Report({"Group": findings[:1], "Other": findings[1:]})
    assert (report.promise, report.exit_code, report.verdict) == (promise, code, verdict)


def test_text__fits_the_width() -> None:
    """Lines break between words, what follows stands below what was found, and the verdict is the last line."""
    report = Report({"Redis": [GOOD, weak("appendfsync", "everysec", "a second can be lost", "`CONFIG SET abc` now")]})
    assert str(_as_text(report, 48)) == (
        "Redis\n"
        "  ok    a                   on\n"
        "  warn  appendfsync         everysec\n"
        "                            a second can be lost\n"
        "                            → `CONFIG SET abc`\n"
        "                              now\n"
        "\n"
        "A weaker promise holds: a second can be lost.\n"
    )


def test_zones__names_ten_communities_and_counts_the_rest() -> None:
    """A list of zones that Python lacks is a note; of many communities some are named, with a command for each."""
    many = [ZoneInUse(f"c{n:02}", "CET", "Europe/Brussels") for n in range(12)]
    faulty, unknown = zones.judge(zones.Zones(many, {}, ["Mars/Olympus"]), NOW.date())
    assert (faulty.level, unknown.level) == (Level.WARN, Level.NOTE)
    assert faulty.found.endswith("CET of c09 and 2 more")
    assert faulty.cure.count("--timezone Europe/Brussels") == 10
    assert unknown.found == "unknown to Python: Mars/Olympus"


def test_zones__difference_in_the_future_needs_no_computation() -> None:
    """Days that have not ended are computed with the list that PostgreSQL has then."""
    for days, told in ((-1, True), (1, False)):
        first = {"Africa/Casablanca": NOW + timedelta(days=days)}
        (finding,) = zones.judge(zones.Zones([ZoneInUse("c", "Africa/Casablanca", None)], first, []), NOW.date())
        assert ("highlights compute" in finding.cure) == told
