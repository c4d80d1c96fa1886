"""The state of the queue, the batches and the database at one moment."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from participation import events_queue, keys, message
from participation.errors import InvalidEvent, ParticipationError, Unavailable
from participation.ingest.claim import open_batches
from participation.store.database import transaction
from participation.store.status import StoredState, read_stored_state

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Status:
    """How many events, batches, dead letters and days wait.

    oldest_waiting_seconds: age of the oldest event that is not stored yet. None if nothing waits, or if the waiting
    messages do not contain the time when they were sent: only clients that use this package write it.
    last_commit_at: when a batch was last stored. None if that is longer ago than `batch_retention_days`.
    dead_letters: letters that were not replayed. days_due: closed local days that wait to be computed.
    errors: why a server did not answer. What it would have told is None.
    """

    checked_at: datetime
    queue_length: int | None
    batches_in_flight: int | None
    oldest_waiting_seconds: float | None
    last_commit_at: datetime | None
    dead_letters: int | None
    days_due: int | None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueState:
    """The part of `Status` that is read from Redis. The fields have the same meaning."""

    queue_length: int
    batches_in_flight: int
    oldest_waiting_seconds: float | None


def read_status(redis: Redis, engine: Engine) -> Status:
    """Ask both servers. Raises nothing: if one of them cannot answer, its fields are None."""
    errors: list[str] = []
    queue = _unless_away(errors, lambda: read_queue_state(redis))
    stored = _unless_away(errors, lambda: _read_stored(engine))
    return Status(
        checked_at=stored.checked_at if stored else datetime.now(UTC),
        queue_length=queue.queue_length if queue else None,
        batches_in_flight=queue.batches_in_flight if queue else None,
        oldest_waiting_seconds=queue.oldest_waiting_seconds if queue else None,
        last_commit_at=stored.last_commit_at if stored else None,
        dead_letters=stored.dead_letters if stored else None,
        days_due=stored.days_due if stored else None,
        errors=tuple(errors),
    )


def _read_stored(engine: Engine) -> StoredState:
    with transaction(engine) as connection:
        return read_stored_state(connection)


def _unless_away(errors: list[str], read: Callable[[], Answer]) -> Answer | None:
    try:
        return read()
    except ParticipationError as error:
        errors.append(str(error))
        return None


def read_queue_state(redis: Redis) -> QueueState:
    """Ask Redis. Raises `Unavailable`."""
    queue_length = events_queue.length(redis)
    try:
        batches = open_batches(redis)
        oldest = _oldest_sent_at(redis, [*keys.EVENT_LISTS, *map(keys.batch, batches)])
    except RedisError as error:
        raise Unavailable(f"Redis: {error}") from error
    age = None if oldest is None else max(0.0, round(datetime.now(UTC).timestamp() - oldest, 3))
    return QueueState(queue_length, len(batches), age)


def _oldest_sent_at(redis: Redis, lists: list[str]) -> float | None:
    """Return the earliest time of sending among the oldest messages of the lists."""
    with redis.pipeline(transaction=False) as pipe:
        for name in lists:
            pipe.lindex(name, -1)
        sent = [_sent_at(raw) for raw in pipe.execute() if raw is not None]
    return min((at for at in sent if at is not None), default=None)


def _sent_at(raw: Any) -> float | None:
    try:
        return message.decode(raw).sent_at
    except InvalidEvent:
        return None
