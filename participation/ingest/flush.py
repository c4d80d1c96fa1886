"""④ Flush: one claimed batch from Redis into PostgreSQL; the batch leaves Redis only after the commit."""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from participation import keys
from participation.errors import Unavailable
from participation.ingest.claim import postpone
from participation.ingest.read import read
from participation.store import partitions
from participation.store.database import transaction
from participation.store.events import Counts, store_batch

logger = logging.getLogger(__name__)


def flush(redis: Redis, engine: Engine, batch_id: str) -> Counts | None:
    """Store the batch and remove it from Redis; return what became of it, or None if it was done before.

    A repeat is safe at any point, and so are two at once. Raises `Unavailable` where a later try may succeed.
    """
    try:
        elements = redis.lrange(keys.batch(batch_id), 0, -1)
        # A batch whose list is gone was committed: the list goes last.
        counts = _store_or_postpone(redis, engine, batch_id, elements) if elements else None  # type: ignore[arg-type]
        _remove(redis, batch_id)
    except RedisError as error:
        raise Unavailable(f"Redis: {error}") from error
    return counts


def _store_or_postpone(redis: Redis, engine: Engine, batch_id: str, elements: Sequence[bytes]) -> Counts | None:
    try:
        return store(engine, batch_id, elements)
    except Unavailable:
        postpone(redis, batch_id)
        raise


def store(engine: Engine, batch_id: str, elements: Sequence[bytes]) -> Counts | None:
    """Store the elements under the batch's id, in one transaction; return None if that id was stored before."""
    begun, started_at = time.perf_counter(), datetime.now(UTC)
    accepted, dead = read(elements)
    partitions.ensure(engine, {item.row.occurred_at[:7] for item in accepted})
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
        "batch_stored batch_id=%s received=%d stored=%d duplicates=%d dead=%d duration_seconds=%.3f",
        batch_id,
        counts.received,
        counts.stored,
        counts.duplicates,
        counts.dead,
        seconds,
    )
