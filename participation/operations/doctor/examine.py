"""All checks: both servers at the same time, then the workers. Each wait is limited to some seconds."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from threading import Thread
from typing import Final, TypeVar

from redis.exceptions import RedisError

from participation.errors import ParticipationError, Unavailable
from participation.operations.doctor import clocks, postgresql, redis, work, zones
from participation.operations.doctor.finding import Finding, Report, fail, warn
from participation.settings import Settings

PATIENCE_SECONDS: Final = 12.0
"""Longest wait for all answers of one server. It also ends the wait if a server stops answering in the middle."""

Answer = TypeVar("Answer")


def examine(settings: Settings) -> Report:
    """Ask both servers and the workers, and judge their answers. Raises nothing: each problem is a finding."""
    asked_redis = _ask(lambda: redis.read(settings.redis()))
    asked_postgresql = _ask(lambda: postgresql.read(settings.database(), settings.partitions_ahead_months))
    queue, of_redis = _redis(asked_redis)
    database, of_postgresql = _postgresql(asked_postgresql)
    # Asking the workers writes to Redis: it creates a queue for their answers.
    found = _workers(settings) if queue is not None and queue.write_error is None else None
    groups = {
        "Redis": of_redis,
        "PostgreSQL": of_postgresql,
        "Tables": [] if database is None else list(postgresql.judge_schema(database)),
        "Clocks": [*_clocks(queue, database), *(_zones(settings) if database and database.work else [])],
        "Work": list(work.judge(settings, queue, database.work if database else None, found)),
    }
    return Report({title: findings for title, findings in groups.items() if findings})


def _redis(asked: "Future[redis.Facts]") -> tuple[redis.Facts | None, list[Finding]]:
    try:
        facts = _wait(asked, "Redis")
    except RedisError as error:
        return None, [redis.unreachable(error)]
    except redis.MissingPrivilegesError as error:
        return None, [redis.rights(error)]
    except ParticipationError as error:
        return None, [_finding(error, f"Redis does not answer: {redis.REFUSES}")]
    return facts, list(redis.judge(facts))


def _postgresql(asked: "Future[postgresql.Facts]") -> tuple[postgresql.Facts | None, list[Finding]]:
    try:
        facts = _wait(asked, "PostgreSQL")
    except ParticipationError as error:
        return None, [_finding(error, f"PostgreSQL does not answer: {postgresql.STAYS}")]
    return facts, list(postgresql.judge(facts.server))


def _workers(settings: Settings) -> work.Workers:
    try:
        return _wait(_ask(lambda: work.ask_workers(settings.redis())), "the workers")
    except Unavailable:
        return {}


def _finding(error: ParticipationError, meaning: str) -> Finding:
    """Turn one of our errors into a finding. Its text says what to do after the last colon."""
    found, _, cure = str(error).removeprefix("PostgreSQL: ").rpartition(": ")
    return fail("server", found, meaning, cure)


def _clocks(queue: redis.Facts | None, database: postgresql.Facts | None) -> Iterator[Finding]:
    if queue is not None:
        yield clocks.judge("Redis", queue.clock, "it decides when an open batch is given to a worker again")
    if database is not None:
        yield clocks.judge("PostgreSQL", database.clock, "it decides when a local day ends")


def _zones(settings: Settings) -> list[Finding]:
    try:
        found = _wait(_ask(lambda: zones.read(settings.database())), "PostgreSQL")
        return list(zones.judge(found, datetime.now(UTC).date()))
    except ParticipationError as error:
        return [warn("time zones", "not compared", "PostgreSQL did not answer", str(error))]


def _ask(question: Callable[[], Answer]) -> "Future[Answer]":
    """Ask in a daemon thread, so that this process can end before the answer."""
    future: Future[Answer] = Future()

    def ask() -> None:
        try:
            future.set_result(question())
        except BaseException as error:  # `_wait` raises it
            future.set_exception(error)

    Thread(target=ask, daemon=True).start()
    return future


def _wait(asked: "Future[Answer]", who: str) -> Answer:
    try:
        return asked.result(PATIENCE_SECONDS)
    except TimeoutError as error:
        raise Unavailable(f"{who} did not answer for {PATIENCE_SECONDS:g} s: restart it") from error
