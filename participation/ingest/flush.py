"""④ Flush: one claimed batch from Redis into PostgreSQL; the batch leaves Redis only after the commit."""

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Final, cast

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from participation import failpoint, keys
from participation.errors import Taken, Unavailable
from participation.ingest.claim import postpone
from participation.ingest.read import read
from participation.store import communities, partitions
from participation.store.batches import Counts, store_batch
from participation.store.database import transaction

logger = logging.getLogger(__name__)

SLICE_BYTES: Final = 16_777_216
"""About how much of a batch is fetched in one answer of Redis."""


def flush(redis: Redis, engine: Engine, batch_id: str) -> Counts | None:
    """Store the batch and remove it from Redis; return what became of it, or None if others did or do that.

    A repeat is safe at any point, and so are two at once. Raises `Unavailable` where a later try may succeed.
    """
    try:
        elements = _elements(redis, keys.batch(batch_id))
        first = next(elements, None)
        failpoint.reach("after_claim")
        # A batch whose list is gone was committed: the list goes last.
        counts = None if first is None else _store_or_postpone(redis, engine, batch_id, chain([first], elements))
        failpoint.reach("after_commit")
        _remove(redis, batch_id)
    except Taken:
        # If that process does not succeed, the sweeper will find the batch.
        logger.info("batch_taken batch_id=%s", batch_id)
        return None
    except RedisError as error:
        raise Unavailable(f"Redis: {error}") from error
    return counts


def _elements(redis: Redis, name: str) -> Iterator[bytes]:
    """Read the list in slices whose size depends on that of its elements: a few thousand may be 4 MB each."""
    length, used = redis.llen(name), redis.memory_usage(name, samples=0)
    if not used:
        return
    step = max(1, SLICE_BYTES * length // used)
    for begin in range(0, length, step):
        yield from cast("list[bytes]", redis.lrange(name, begin, begin + step - 1))


def _store_or_postpone(redis: Redis, engine: Engine, batch_id: str, elements: Iterable[bytes]) -> Counts | None:
    try:
        return store(engine, batch_id, elements)
    except Taken:
        raise
    except Unavailable:
        postpone(redis, batch_id)
        raise


def store(engine: Engine, batch_id: str, elements: Iterable[bytes]) -> Counts | None:
    """Store the elements under the batch's id, in one transaction; return None if that id was stored before.

    Raises `Unavailable` where a later try may succeed, `Taken` while another process is at it.
    """
    begun, started_at = time.perf_counter(), datetime.now(UTC)
    accepted, dead = read(elements)
    partitions.ensure(engine, {item.row.occurred_at[:7] for item in accepted})
    communities.ensure(engine, {item.community_id for item in accepted})
    with transaction(engine) as connection:
        counts = store_batch(connection, batch_id, started_at, accepted, dead)
    _log(batch_id, counts, time.perf_counter() - begun)
    return counts


def _remove(redis: Redis, batch_id: str) -> None:
    with redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.batch(batch_id))
        pipe.zrem(keys.BATCHES, batch_id)
        pipe.execute()


def _log(batch_id: str, counts: Counts | None, seconds: float) -> None:
    if counts is None:
        logger.info("batch_replayed batch_id=%s duration_seconds=%.3f", batch_id, seconds)
        return
    logger.info(
        "batch_stored batch_id=%s received=%d stored=%d duplicates=%d dead=%d opted_out=%d duration_seconds=%.3f",
        batch_id,
        counts.received,
        counts.stored,
        counts.duplicates,
        counts.dead,
        counts.opted_out,
        seconds,
    )
