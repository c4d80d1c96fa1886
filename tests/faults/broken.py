"""The Celery app with one of its guarantees taken out, to see that the checker notices. `BROKEN` names which."""

import os
from collections.abc import Iterable
from uuid import uuid4

from redis import Redis
from sqlalchemy import Engine

from participation import event, keys
from participation.app import app
from participation.ingest import decode, flush
from participation.store.ingest.batches import Counts
from participation.store.ingest.content import Content

__all__ = ["app"]

_store_or_postpone, _store, _read = flush._store_or_postpone, flush.store_elements, decode.decode_batch


def _list_goes_first(
    redis: Redis, engine: Engine, batch_id: str, elements: Iterable[bytes], *, keep_names: bool
) -> Counts | None:
    """Take the batch out of Redis before it is committed."""
    kept = list(elements)
    redis.delete(keys.batch(batch_id))
    redis.zrem(keys.BATCHES, batch_id)
    return _store_or_postpone(redis, engine, batch_id, kept, keep_names=keep_names)


def _store_under_another_name(
    engine: Engine, batch_id: str, elements: Iterable[bytes], *, keep_names: bool = True
) -> Counts | None:
    """Forget which batches are stored."""
    return _store(engine, f"{batch_id}-{uuid4().hex}", elements, keep_names=keep_names)


def _drop_poison(elements: Iterable[bytes]) -> Content:
    """Leave out what is no event."""
    return _read(elements)._replace(dead=[])


match os.environ["BROKEN"]:
    case "batch list deleted before COMMIT":
        flush._store_or_postpone = _list_goes_first
    case "events have no identity":
        event.derive_id = lambda facts, occurred_at: uuid4().hex
    case "batches have no identity":
        flush.store_elements = _store_under_another_name
    case "poison dropped":
        flush.decode_batch = _drop_poison  # type: ignore[attr-defined]
    case unknown:
        raise ValueError(f"BROKEN={unknown}: there is no such variant")
