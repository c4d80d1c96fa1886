"""The state of the whole route at one moment, for people and monitors."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from participation import keys, message
from participation.errors import InvalidEvent, Unavailable
from participation.ingest.claim import open_batches
from participation.publish import bulk
from participation.store import ledger
from participation.store.database import transaction


@dataclass(frozen=True, slots=True)
class Status:
    """Where events are, and what waits.

    oldest_waiting_seconds: age of the oldest event not yet stored, None if none waits or if none of those that wait
    tells when it was sent (only clients that use this package do).
    last_commit_at: when a batch was last stored, None if none is known (see `batch_retention_days`).
    dead_letters: those that were not replayed. days_due: closed local days that wait to be computed.
    """

    checked_at: datetime
    queue_length: int
    batches_in_flight: int
    oldest_waiting_seconds: float | None
    last_commit_at: datetime | None
    dead_letters: int
    days_due: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The half of the state that Redis knows; the fields are those of `Status`."""

    queue_length: int
    batches_in_flight: int
    oldest_waiting_seconds: float | None


def read(redis: Redis, engine: Engine) -> Status:
    """Ask both servers. Raises `Unavailable` or `ConfigError` when one of them cannot answer."""
    now = waiting(redis)
    with transaction(engine) as connection:
        books = ledger.books(connection)
    return Status(
        checked_at=books.checked_at,
        queue_length=now.queue_length,
        batches_in_flight=now.batches_in_flight,
        oldest_waiting_seconds=now.oldest_waiting_seconds,
        last_commit_at=books.last_commit_at,
        dead_letters=books.dead_letters,
        days_due=books.days_due,
    )


def waiting(redis: Redis) -> Waiting:
    """Ask Redis. Raises `Unavailable`."""
    queue_length = bulk.waiting(redis)
    try:
        batches = open_batches(redis)
        oldest = _oldest_sent_at(redis, [*keys.EVENT_LISTS, *map(keys.batch, batches)])
    except RedisError as error:
        raise Unavailable(f"Redis: {error}") from error
    age = None if oldest is None else max(0.0, round(datetime.now(UTC).timestamp() - oldest, 3))
    return Waiting(queue_length, len(batches), age)


def _oldest_sent_at(redis: Redis, lists: list[str]) -> float | None:
    """Return the least time of sending among the oldest messages of the lists."""
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
