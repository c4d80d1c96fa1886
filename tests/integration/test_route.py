"""The whole route as its users walk it: from `delay` through a real Celery worker into the tables."""

import json
import pickle
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import celery
import pytest
from celery.result import AsyncResult
from celery.signals import after_task_publish
from redis import Redis
from sqlalchemy import Engine, text

from participation import ConfigError, Event, EventType, InvalidEvent, Unavailable, keys, message, tasks, track_event
from participation.app import app
from participation.event import decode, event_id
from participation.store.database import connect
from participation.tasks import maintain
from tests.rows import event
from tests.worker import SECONDS, at_rest, eventually, running
from tests.worker import celery as celery_command

STORED = text("SELECT * FROM participation_events ORDER BY occurred_at, event_id")
DEAD = text("SELECT reason, detail, raw FROM dead_letters ORDER BY reason")


@pytest.fixture
def engine(environment: None, database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()
    # Tasks that a test ran in this process keep their engine, whose database goes.
    tasks._engine.cache_clear()


@pytest.fixture
def worker(engine: Engine, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(tmp_path / "worker.log") as process:
        yield process


def stored(engine: Engine) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(STORED)]


@pytest.mark.usefixtures("worker")
def test_delay__event_is_stored_as_it_was_given(redis: Redis, engine: Engine) -> None:
    """Every field arrives in its column, the moment in UTC to the microsecond."""
    given = event(
        event_type="REACTION_ADDED",
        platform="discord",
        channel_id="deck",
        object_id="m1",
        object_author_id="grace",
        actor_kind="bot",
        occurred_at="2026-03-10T14:00:00.123456+02:00",
        metadata={"emoji": "👍", "n": [1, 2.5, None, '\\ \t "x",\r\n']},
    )
    track_event.delay(given)
    eventually(lambda: at_rest(redis, engine, 1))
    (row,) = stored(engine)
    assert isinstance(row.pop("received_at"), datetime)
    assert row == {
        **given,
        "occurred_at": datetime(2026, 3, 10, 12, 0, 0, 123456, tzinfo=UTC),
        "event_id": event_id(decode(given)),
        "import_id": None,
    }


@pytest.mark.usefixtures("worker")
def test_delay__takes_what_python_has(redis: Redis, engine: Engine) -> None:
    """An `Event`, an aware `datetime`, and the argument by its name are the same as the JSON object."""
    at = datetime(2026, 3, 10, 12, tzinfo=UTC)
    track_event.delay(event())
    track_event.delay(event=event(occurred_at=at))
    track_event.delay(
        Event(event_type=EventType.MESSAGE_SENT, platform="irc", community_id="c", member_id="ada", occurred_at=at)
    )
    track_event.apply_async((event(),), countdown=3600, priority=7)
    eventually(lambda: at_rest(redis, engine, 4))
    assert len(stored(engine)) == 1


@pytest.mark.usefixtures("worker")
def test_delay__program_that_watches_publishing_hears_of_it(redis: Redis, engine: Engine) -> None:
    """A receiver of Celery's signals, as monitoring has, is told of every event, and the event is stored."""
    heard = []

    def listen(headers: dict[str, Any], **_: object) -> None:
        heard.append(headers["id"])

    # Not weak: when a weak receiver has died, Celery makes a new list of receivers, and senders keep the old one.
    after_task_publish.connect(listen, weak=False)
    try:
        result = track_event.delay(event())
    finally:
        after_task_publish.disconnect(listen)
    assert heard == [result.id]
    assert track_event.delay(event(object_id="1")).id not in heard
    eventually(lambda: at_rest(redis, engine, 2))


def test_delay__eager_program_stores_by_itself(redis: Redis, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Celery's `task_always_eager`, as in somebody's tests, the event is stored at once and Redis is not asked."""
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    assert track_event.delay(event()).successful()
    assert redis.llen(keys.EVENTS) == 0
    assert len(stored(engine)) == 1


def test_delay__eager_program_learns_that_postgresql_is_away(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no queue in between, an event that cannot be stored now is the caller's to send again."""
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x")
    tasks._engine.cache_clear()
    with pytest.raises(Unavailable, match="PostgreSQL"):
        track_event.delay(event())
    tasks._engine.cache_clear()


def test_delay__answers_as_celery_does(environment: None, redis: Redis) -> None:
    """What `delay` returns is an `AsyncResult` to whoever looks, compares it, or sends it on."""
    result = track_event.delay(event())
    known = track_event.AsyncResult(result.id)
    assert isinstance(result, AsyncResult)
    assert (result, str(result), {result: 1}[known]) == (known, known.id, 1)
    assert pickle.loads(pickle.dumps(result)) == known
    (raw,) = redis.lrange(keys.EVENTS, 0, -1)
    assert json.loads(raw)["headers"]["id"] == result.id


def test_delay__more_threads_than_a_pool_has_by_itself(environment: None, redis: Redis) -> None:
    """A hundred and fifty threads that wait for a slow Redis at once are all served."""
    redis.client_pause(300)
    with ThreadPoolExecutor(150) as pool:
        results = list(pool.map(track_event.delay, [event(object_id=str(n)) for n in range(150)]))
    assert len({result.id for result in results}) == redis.llen(keys.EVENTS) == 150


@pytest.mark.parametrize("options", [{}, {"priority": 0}])
def test_delay__connection_that_redis_has_cut_is_replaced(
    environment: None, redis: Redis, options: dict[str, Any]
) -> None:
    """After Redis has cut an idle connection the next call opens another, and its caller does not notice."""
    track_event.apply_async((event(),), **options)
    redis.client_kill_filter(_type="normal", skipme=True)
    track_event.apply_async((event(object_id="1"),), **options)
    assert redis.llen(keys.EVENTS) == 2


@pytest.mark.parametrize("options", [{}, {"priority": 0}, {"compression": "gzip"}])
def test_delay__full_redis_says_that_the_event_was_not_taken(
    environment: None, redis: Redis, options: dict[str, Any]
) -> None:
    """A refusal is told apart from silence: nothing was taken, and the text says why."""
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable, match=r"refuses to take events .*maxmemory.*: the event was not taken"):
            track_event.apply_async((event(),), **options)
    finally:
        redis.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"compression": "nope"}, "compression='nope': workers unpack only gzip, bzip2 and lzma"),
        ({"compression": "zstd"}, "compression='zstd': workers unpack only"),
        ({"compression": 7}, "compression=7: workers unpack only"),
        ({"compression": ["gzip"]}, r"compression=\['gzip'\]: workers unpack only"),
        ({"serializer": "nope"}, "serializer='nope': workers read only JSON"),
        ({"serializer": "pickle"}, "serializer='pickle': workers read only JSON"),
        ({"queue": "other"}, "queue='other': events go to the queue participation.events"),
        ({"exchange": "e", "routing_key": "r"}, "exchange='e': events go to the queue participation.events"),
        ({"routing_key": "r"}, "routing_key='r': events go to the queue participation.events"),
        ({"countdown": "soon"}, r"these options \(countdown\): TypeError"),
        ({"expires": "soon"}, r"these options \(expires\): ValueError"),
        ({"delivery_mode": "x"}, r"these options \(delivery_mode\): KeyError: 'x'"),
        ({"headers": {"x": object()}}, r"these options \(headers\): .*not JSON serializable"),
        ({"link_error": object()}, r"these options \(link_error\): EncodeError"),
        ({"retry": True, "retry_policy": {"x": 1}}, r"these options \(retry, retry_policy\): TypeError"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_apply_async__wrong_option_is_the_callers_error(
    environment: None, redis: Redis, options: dict[str, Any], rule: str
) -> None:
    """A caller who sends again after `Unavailable` would send for ever. Nothing is sent to where no worker reads."""
    with pytest.raises(ConfigError, match=rule):
        track_event.apply_async((event(),), **options)
    assert [*redis.scan_iter(_type="list")] == []


@pytest.mark.usefixtures("worker")
def test_apply_async__compressions_that_workers_unpack_are_stored(redis: Redis, engine: Engine) -> None:
    """With each name that kombu has for them, and with the name of the queue."""
    for compression in ("gzip", "zlib", "bzip2", "lzma", "xz"):
        track_event.apply_async((event(object_id=compression),), compression=compression, queue=keys.EVENTS)
    eventually(lambda: at_rest(redis, engine, 5))
    assert len(stored(engine)) == 5


def test_delay__invalid_event_raises_and_sends_nothing(redis: Redis, engine: Engine) -> None:
    """The caller learns the field and the rule, and the queue stays empty."""
    with pytest.raises(InvalidEvent, match="member_id: must be a string"):
        track_event.delay(event(member_id=5))
    with pytest.raises(InvalidEvent, match="arguments: must be exactly one"):
        track_event.delay(event(), event())
    assert redis.llen(keys.EVENTS) == 0


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("protocol", [1, 2])
def test_send_task__from_a_program_that_does_not_know_us(
    redis: Redis, engine: Engine, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare Celery app sends events by the task's name: with every priority, compressed, with Python's own types."""
    bare = celery.Celery("bot", broker=redis_url(redis))
    bare.conf.task_protocol = protocol
    options: list[dict[str, Any]] = [{}, {"priority": 5}, {"priority": 9}, {"compression": "gzip"}, {"countdown": 600}]
    for number, option in enumerate(options):
        bare.send_task(keys.TRACK_EVENT, [event(object_id=str(number))], queue=keys.EVENTS, **option)
    python = event(object_id="python", occurred_at=datetime(2026, 3, 10, 12, tzinfo=UTC), event_id=UUID(int=7))
    bare.send_task(keys.TRACK_EVENT, kwargs={"event": python}, queue=keys.EVENTS)
    bare.close()
    eventually(lambda: at_rest(redis, engine, 6))
    rows = stored(engine)
    assert [row["object_id"] for row in sorted(rows, key=lambda row: str(row["object_id"]))] == [*"01234", "python"]
    assert {row["event_id"] for row in rows} > {UUID(int=7)}


def test_worker__quarantines_what_is_no_event_and_stores_its_neighbours(
    redis: Redis, engine: Engine, tmp_path: Path
) -> None:
    """In one batch, each element that is no event becomes a dead letter with its bytes, and the others are stored."""
    good = [message.encode(event(object_id=str(number))) for number in range(20)]
    bad = {
        "not_json": b"\xff\x00 nothing",
        "not_a_message": b"[1, 2, 3]",
        "unknown_task": good[0].replace(b'"participation.track_event"', b'"other.task"', 1),
        "content_type": good[0].replace(b"application/json", b"application/x-python-serialize"),
        "invalid_event": message.encode(event(event_type="SANG")),
        "bad_body": json.dumps({"body": "§", "headers": {}, "properties": {"body_encoding": "base64"}}).encode(),
        "arguments": message.encode(event()).replace(b'"body":"', b'"body":"AAAA', 1),
    }
    bad["arguments"] = json.dumps(
        {"body": "[[], {}, {}]", "headers": {"task": keys.TRACK_EVENT}, "properties": {}}
    ).encode()
    redis.lpush(keys.EVENTS, *good[:10], *bad.values(), *good[10:])
    with running(tmp_path / "worker.log") as process:
        eventually(lambda: at_rest(redis, engine, len(good) + len(bad)))
        assert process.poll() is None
    assert {row["object_id"] for row in stored(engine)} == {str(number) for number in range(20)}
    with engine.connect() as connection:
        letters = {row.reason: bytes(row.raw) for row in connection.execute(DEAD)}
        batches = connection.execute(text("SELECT received, stored, duplicates, dead FROM ingest_batches")).all()
    assert letters == bad
    assert batches == [(27, 20, 0, 7)]


def test_worker__large_batches_from_a_backlog(redis: Redis, engine: Engine, tmp_path: Path) -> None:
    """A backlog is claimed in batches of at most the configured size; every event of it is stored once."""
    sent = [message.encode(event(object_id=str(number))) for number in range(12_500)]
    redis.lpush(keys.EVENTS, *sent, *sent[:500])
    with running(tmp_path / "worker.log"):
        eventually(lambda: at_rest(redis, engine, 13_000))
    with engine.connect() as connection:
        sizes = connection.execute(text("SELECT received FROM ingest_batches ORDER BY 1")).scalars().all()
        totals = connection.execute(text("SELECT sum(stored), sum(duplicates) FROM ingest_batches")).one()
    assert sizes == [3_000, 5_000, 5_000]
    assert totals == (12_500, 500)
    assert len(stored(engine)) == 12_500


def test_worker__ordinary_celery_commands_work(engine: Engine, worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """`inspect ping`, `inspect stats` and `control shutdown` do what they do to any worker."""
    assert inspected("ping") == {"ok": "pong"}
    assert inspected("stats")["pool"]["max-concurrency"] == 2
    subprocess.run(celery_command("control", "shutdown"), capture_output=True, timeout=SECONDS, check=False)
    assert worker.wait(SECONDS) == 0


def inspected(what: str) -> Any:
    """Ask the worker until it answers, for which it has a second each time, and return the answer."""
    asked: list[subprocess.CompletedProcess[bytes]] = []

    def ask() -> bool:
        command = celery_command("inspect", what, "--json")
        asked.append(subprocess.run(command, capture_output=True, timeout=SECONDS, check=False))
        return asked[-1].returncode == 0

    eventually(ask)
    (answer,) = json.loads(asked[-1].stdout).values()
    return answer


def test_track_event__body_in_a_stock_worker_is_slow_and_right(redis: Redis, engine: Engine, tmp_path: Path) -> None:
    """A worker pointed at the events queue itself runs each event as a task: stored once, or dead with the reason."""
    bare = celery.Celery("bot", broker=redis_url(redis))
    with running(tmp_path / "worker.log", "-Q", keys.EVENTS):
        track_event.delay(event())
        track_event.delay(event())
        bare.send_task(keys.TRACK_EVENT, [event(object_id="1", event_id=UUID(int=7))], queue=keys.EVENTS)
        for poison in (event(platform="NO"), event(metadata={"n": 2**70}), event(metadata={"n": float("nan")})):
            bare.send_task(keys.TRACK_EVENT, [poison], queue=keys.EVENTS)
        bare.close()
        eventually(lambda: at_rest(redis, engine, 6))
    assert len(stored(engine)) == 2
    with engine.connect() as connection:
        assert [row.reason for row in connection.execute(DEAD)] == ["invalid_event", "invalid_event", "not_json"]


BARE = """
import os
from celery import Celery
from redis import Redis

app = Celery("bare", broker=os.environ["REDIS_URL"])
app.conf.task_acks_late = True

@app.task(name="participation.track_event", bind=True, default_retry_delay=0)
def single(self, event):
    if self.request.retries < 2:
        raise self.retry()
    Redis.from_url(os.environ["REDIS_URL"]).lpush("seen", event["object_id"])
"""


@pytest.mark.usefixtures("environment")
def test_encode__bare_celery_program_can_consume_it(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that knows nothing of us, with Celery's defaults, runs our messages, and its retries of them."""
    (tmp_path / "bare.py").write_text(BARE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    redis.lpush(keys.EVENTS, *[message.encode(event(object_id=str(number))) for number in range(5)])
    with running(tmp_path / "worker.log", "-Q", keys.EVENTS, app="bare"):
        eventually(lambda: redis.llen("seen") == 5)
        eventually(lambda: not redis.exists(keys.EVENTS, "unacked"))
    assert sorted(redis.lrange("seen", 0, -1)) == [b"0", b"1", b"2", b"3", b"4"]


def test_worker__picks_up_a_batch_whose_pointer_was_lost(
    redis: Redis, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was claimed and then forgotten by everybody is found in the index and stored."""
    monkeypatch.setenv("PARTICIPATION_SWEEP_AFTER_SECONDS", "1")
    redis.lpush(keys.batch("lost"), message.encode(event()))
    redis.zadd(keys.BATCHES, {"lost": 1.0})
    with running(tmp_path / "worker.log"):
        eventually(lambda: at_rest(redis, engine, 1))
    assert len(stored(engine)) == 1


def test_worker__tries_again_until_postgresql_is_back(
    redis: Redis, engine: Engine, administrator: Engine, tmp_path: Path
) -> None:
    """While the database refuses connections batches wait; then they are stored, and nothing is dead."""
    name = engine.url.database
    log = tmp_path / "worker.log"
    with running(log):
        with administrator.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        redis.lpush(keys.EVENTS, message.encode(event()))
        eventually(lambda: b"retry" in log.read_bytes().lower())
        with administrator.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        eventually(lambda: at_rest(redis, engine, 1))
    assert len(stored(engine)) == 1


def test_worker__drains_a_full_redis(
    redis: Redis, engine: Engine, administrator: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that refuses every write is drained, by a worker that runs and by one that starts; `delay` says no."""
    monkeypatch.setenv("PARTICIPATION_SWEEP_AFTER_SECONDS", "1")
    monkeypatch.setenv("PARTICIPATION_BATCH_SIZE", "500")
    log = tmp_path / "worker.log"
    allow = f"ALTER DATABASE {engine.url.database} ALLOW_CONNECTIONS"
    try:
        with running(log) as process, administrator.connect() as connection:
            connection.execute(text(f"{allow} false"))
            redis.lpush(keys.EVENTS, *[message.encode(event(object_id=str(n))) for n in range(2_000)])
            eventually(lambda: b"retry" in log.read_bytes().lower())
            redis.config_set("maxmemory", 1)
            with pytest.raises(Unavailable, match="maxmemory"):
                track_event.delay(event())
            connection.execute(text(f"{allow} true"))
            eventually(lambda: at_rest(redis, engine, 2_000))
            assert process.poll() is None
        redis.config_set("maxmemory", 0)
        redis.lpush(keys.EVENTS, *[message.encode(event(object_id=str(n))) for n in range(2_000, 8_000)])
        redis.config_set("maxmemory", 7_000_000)
        with running(log):
            eventually(lambda: at_rest(redis, engine, 8_000))
    finally:
        redis.config_set("maxmemory", 0)
    assert len(stored(engine)) == 8_000


def test_beat__has_due_days_computed(
    redis: Redis, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beat asks, a worker computes: a closed day appears without a hand, and a late event corrects it."""
    monkeypatch.setenv("PARTICIPATION_COMPUTE_INTERVAL_SECONDS", "1")
    schedule = f"--schedule={tmp_path / 'schedule'}"
    with running(tmp_path / "worker.log", "--beat", schedule):
        for number in range(2):
            track_event.delay(event(object_id=str(number)))
            eventually(lambda expected=number + 1: messages_computed(engine) == expected)  # type: ignore[misc]


def messages_computed(engine: Engine) -> int | None:
    with engine.connect() as connection:
        return connection.execute(text("SELECT message_count FROM community_daily_highlights")).scalar_one_or_none()


def test_maintain__makes_partitions_ahead_and_forgets_old_batches(engine: Engine) -> None:
    """Hourly upkeep leaves the batches of the last week, and partitions for the months to come."""
    with engine.begin() as connection:
        for days in (1, 8):
            connection.execute(
                text(
                    "INSERT INTO ingest_batches (batch_id, started_at, stored_at)"
                    " VALUES (:days, now(), now() - make_interval(days => CAST(:days AS integer)))"
                ),
                {"days": str(days)},
            )
        for name in connection.scalars(text("SELECT inhrelid::regclass::text FROM pg_inherits")).all():
            if "pkey" not in name:
                connection.execute(text(f"DROP TABLE {name}"))
    assert len(maintain()) == 4
    assert maintain() == []
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT batch_id FROM ingest_batches")).all() == ["1"]


def test_worker__waits_for_redis_without_limit() -> None:
    """Celery would give up after a hundred tries, and every worker end in an outage of an hour."""
    assert app.conf.broker_connection_max_retries is None
    assert app.conf.broker_connection_retry


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("REDIS_URL", "", "REDIS_URL"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL: must begin with postgresql://"),
        ("PARTICIPATION_BATCH_SIZE", "0", "PARTICIPATION_BATCH_SIZE"),
    ],
)
def test_worker__wrong_setting_ends_it_with_one_clear_line(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    """A worker that cannot know its servers says which setting is wrong and ends with code 2."""
    monkeypatch.setenv(name, value)
    ended = subprocess.run(celery_command("worker"), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_worker__database_without_tables_ends_it_with_one_clear_line(
    environment: None, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker does not start on a database that is not migrated; it says what to run."""
    monkeypatch.setenv("DATABASE_URL", empty_database)
    ended = subprocess.run(celery_command("worker"), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 2
    assert "run `participation migrate`" in ended.stderr
    assert "Traceback" not in ended.stderr


def redis_url(redis: Redis) -> str:
    options = redis.connection_pool.connection_kwargs
    return f"redis://:{options['password']}@{options['host']}:{options['port']}/0"
