"""④ Flush: stores a claimed batch in PostgreSQL, and deletes it from Redis only after the commit."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from typing import Final, cast

from redis import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import Engine

from participation import keys, log
from participation.errors import BatchTaken, Unavailable
from participation.ingest.claim import postpone
from participation.ingest.decode import decode_batch
from participation.store.communities import grouping
from participation.store.communities import settings as communities
from participation.store.database import transaction
from participation.store.ingest.batches import BatchResult, Counts, store_batch
from participation.store.ingest.events import last_times
from participation.store.schema import partitions

SLICE_BYTES: Final = 16_777_216
"""Approximate size of one answer of Redis when a batch is read."""

SLICE_ELEMENTS: Final = 100
"""Number of messages in one answer, where Redis does not tell how large they are."""


def flush(redis: Redis, engine: Engine, batch_id: str, *, keep_names: bool = True) -> Counts | None:
    """Store the batch and remove it from Redis; return its counts.

    keep_names: whether to store the names in notices, or only where channels belong and when accounts joined. Returns
    None if another process stores the batch or has stored it. Repeating it is safe at any point, also in two processes
    at once. Raises `Unavailable` if a later try may succeed.
    """
    try:
        elements = _elements(redis, keys.batch(batch_id))
        first = next(elements, None)
        # If the list does not exist, the batch was committed, because the list is deleted last.
        rest = chain([] if first is None else [first], elements)
        counts = None if first is None else _store_or_postpone(redis, engine, batch_id, rest, keep_names=keep_names)
        _remove(redis, batch_id)
    except BatchTaken:
        # If that process fails, the sweep finds the batch.
        log.event("batch_taken", batch_id=batch_id)
        return None
    except RedisError as error:
        raise Unavailable(f"Redis: {error}") from error
    return counts


def _elements(redis: Redis, name: str) -> Iterator[bytes]:
    """Read the list in slices. Their length depends on the size of the elements, which may be several MB each."""
    length = redis.llen(name)
    step = _step(redis, name, length)
    for begin in range(0, length, step):
        yield from cast("list[bytes]", redis.lrange(name, begin, begin + step - 1))


def _step(redis: Redis, name: str, length: int) -> int:
    try:
        used = redis.memory_usage(name, samples=0)
    except ResponseError:  # managed services may not have this command, and a user may not be allowed to send it
        return SLICE_ELEMENTS
    return max(1, SLICE_BYTES * length // used) if used else 1


def _store_or_postpone(
    redis: Redis, engine: Engine, batch_id: str, elements: Iterable[bytes], *, keep_names: bool
) -> Counts | None:
    try:
        return store_elements(engine, batch_id, elements, keep_names=keep_names)
    except BatchTaken:
        raise
    except Unavailable:
        postpone(redis, batch_id)
        raise


def store_elements(
    engine: Engine, batch_id: str, elements: Iterable[bytes], *, keep_names: bool = True
) -> Counts | None:
    """Store the elements under the batch's id, in one transaction; return None if that id was stored before.

    Raises `Unavailable` if a later try may succeed, `BatchTaken` while another process stores the batch.
    """
    begun, started_at = time.perf_counter(), datetime.now(UTC)
    content = decode_batch(elements)
    partitions.ensure(engine, {item.row.occurred_at[:7] for item in content.accepted})
    communities.create_missing(engine, last_times(content.accepted))
    with transaction(engine) as connection:
        result = store_batch(connection, batch_id, started_at, content, keep_names=keep_names)
    if result and content.notices.has_moved_spaces:
        grouping.group_moved_spaces(engine)
    _log(batch_id, result, time.perf_counter() - begun)
    return result.total if result else None


def _remove(redis: Redis, batch_id: str) -> None:
    with redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.batch(batch_id))
        pipe.zrem(keys.BATCHES, batch_id)
        pipe.execute()


def _log(batch_id: str, result: BatchResult | None, seconds: float) -> None:
    if result is None:
        log.event("batch_replayed", batch_id=batch_id, duration_seconds=seconds)
        return
    dead = result.total.dead
    log.event(
        "batch_stored",
        level=logging.WARNING if dead else logging.INFO,
        advice="`participation dead-letters list` shows why messages were refused" if dead else "",
        batch_id=batch_id,
        **asdict(result.total),
        communities=len(result.by_community),
        duration_seconds=seconds,
    )
