"""What an operator reads when a worker cannot do its work: the cause and the cure once, and the end once."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis import Redis
from sqlalchemy import Engine, make_url, text

from participation import keys, message, redis_client, track_event
from participation.local.valkey import Valkey
from participation.operations.doctor import redis_privileges
from participation.store.database import connect
from participation.worker import ClaimStep
from tests.rows import event
from tests.worker import SECONDS, at_rest, celery, eventually, running


@pytest.fixture
def engine(environment: None, database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


def warnings(log: Path) -> list[str]:
    """Return the lines of the worker's log that are no information."""
    return [line for line in log.read_text().splitlines() if re.search(r": (WARNING|ERROR|CRITICAL)/", line)]


def test_postgresql_away__is_said_once_and_its_end_once(
    redis: Redis, engine: Engine, administrator: Engine, tmp_path: Path
) -> None:
    """However often batches are tried again, and by whichever process."""
    log, name = tmp_path / "worker.log", make_url(str(engine.url)).database
    with running(log):
        with administrator.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        for number in range(3):
            track_event.delay(event(object_id=str(number)))
        eventually(lambda: log.read_text().count("] retry:") > 4)
        (line,) = warnings(log)
        assert "storing_failed detail=" in line
        assert "PostgreSQL" in line
        assert "no event is lost" in line
        expired = [*celery(), "call", keys.COMPUTE_DUE_DAYS, "--expires=2020-01-01T00:00:00+00:00"]
        subprocess.run(expired, check=True, capture_output=True)
        eventually(lambda: "Discarding revoked task" in log.read_text())
        assert warnings(log) == [line], "a task that did not run does not show that storing works"
        with administrator.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = off"))
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        eventually(lambda: len(warnings(log)) > 1)
        assert "storing_recovered outage_seconds=" in warnings(log)[1]
        eventually(lambda: at_rest(redis, engine, 3))
    assert len(warnings(log)) == 2


def test_dead_letters__are_a_warning(redis: Redis, engine: Engine, tmp_path: Path) -> None:
    """A batch with messages that could not be stored says so, with the command that shows them."""
    log = tmp_path / "worker.log"
    with running(log):
        redis.lpush(keys.EVENTS, b"no message")
        eventually(lambda: at_rest(redis, engine, 1))
        (line,) = warnings(log)
    assert "batch_stored" in line
    assert "dead=1" in line
    assert "participation dead-letters list" in line


@pytest.mark.usefixtures("restricted")
@pytest.mark.parametrize("command", ["zadd", "brpop", "llen", "eval"])
def test_redis_right_missing__is_said_once_and_its_end_once(
    redis: Redis, engine: Engine, tmp_path: Path, command: str
) -> None:
    """A worker whose user may not send a command names it, and goes on as soon as it may."""
    set_user(redis, f"-{command}")
    log = tmp_path / "worker.log"
    redis.lpush(keys.EVENTS, message.encode(event()))
    with running(log, sign=b"no permissions"):
        eventually(lambda: tries(redis) > 3 and bool(named(log, "detail=")))
        set_user(redis, f"+{command}")
        eventually(lambda: at_rest(redis, engine, 1))
        eventually(lambda: len(named(log, "outage_seconds=")) == len(named(log, "detail=")))
    begun = named(log, "detail=")
    assert len(warnings(log)) == 2 * len(begun)
    assert len(set(begun)) == len(begun) <= 3
    assert all(f"'{command}'" in line and "participation doctor" in line for line in warnings(log) if "detail=" in line)


@pytest.fixture
def restricted(environment: None, redis: Redis, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Redis user that may do what `doctor` asks for."""
    set_user(redis, "on", ">s3cret", *redis_privileges.rules(0).split())
    redis.acl_log_reset()
    monkeypatch.setenv("REDIS_URL", f"redis://bot:s3cret@127.0.0.1:{valkey.port}/0")
    yield
    redis.acl_deluser("bot")


def named(log: Path, field: str) -> list[str]:
    """Return the names of the events in the worker's warnings that have this field."""
    return [line.split("] ")[1].split()[0] for line in warnings(log) if field in line]


@pytest.mark.usefixtures("restricted")
@pytest.mark.parametrize(
    ("command", "fails"),
    [
        ("zadd", "claim"),
        ("rename", "claim"),
        ("zrangebyscore", "sweep"),
    ],
)
def test_claim_step__each_half_has_its_own_outage(
    redis: Redis, caplog: pytest.LogCaptureFixture, command: str, fails: str
) -> None:
    """What works does not end the outage of what fails, and a refused claim leaves everything where it was."""
    step = ClaimStep(SimpleNamespace(controller=SimpleNamespace(concurrency=2)))
    step.redis = redis_client.connect(os.environ["REDIS_URL"], SECONDS)
    set_user(redis, f"-{command}")

    def tick() -> list[str]:
        for _ in range(3):
            step._try(step._claim, step.claim_outage)
            step._try(step._sweep, step.sweep_outage)
        return [record.event for record in caplog.records if hasattr(record, "event")]

    redis.lpush(keys.EVENTS, message.encode(event()))
    assert tick() == [f"{fails}_failed"]
    if fails == "claim":
        assert (redis.llen(keys.EVENTS), redis.zcard(keys.BATCHES), redis.llen(keys.FLUSH)) == (1, 0, 0)
    set_user(redis, f"+{command}")
    assert tick() == [f"{fails}_failed", f"{fails}_recovered"]
    assert (redis.llen(keys.EVENTS), redis.zcard(keys.BATCHES), redis.llen(keys.FLUSH)) == (0, 1, 1)
    step.redis.close()


def set_user(redis: Redis, *rules: str) -> None:
    redis.execute_command("ACL", "SETUSER", "bot", *rules)  # type: ignore[no-untyped-call, unused-ignore]


def tries(redis: Redis) -> int:
    """Return how often Redis has refused a command of the user."""
    return sum(int(str(each["count"])) for each in redis.acl_log())
