"""② Claim: move waiting messages, atomically, into a batch of their own, and keep an eye on it.

The scripts that do it are the Lua files beside this one. Whatever happens to the pointer of a batch, `sweep` finds the
batch again in the index of open batches, so nothing depends on a message broker's memory.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast
from uuid import uuid4

from redis import Redis

from participation import keys, message


@cache
def _script(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a worker claims at a time.

    size: most messages in a batch. waiting: how many pointers may wait in the queue; at so many, nothing is claimed.
    open: how many batches of all workers may be claimed and not committed; at so many, nothing is claimed.
    """

    size: int
    waiting: int
    open: int


def claim(redis: Redis, limits: Limits) -> str | None:
    """Move up to `limits.size` messages into a new batch and publish its pointer; return its id.

    Returns None if nothing waits, or a limit is reached.
    """
    batch_id = uuid4().hex
    names = [keys.BATCHES, keys.FLUSH, keys.batch(batch_id), *keys.EVENT_LISTS]
    bounds = [limits.size, limits.waiting, limits.open]
    pointer = message.encode_pointer(batch_id)
    claimed = redis.eval(_script("claim"), len(names), *names, batch_id, *bounds, pointer)
    return batch_id if claimed else None


def sweep(redis: Redis, after_seconds: float, most: int) -> list[str]:
    """Publish the pointers of open batches again if they are older than `after_seconds`; return the batches' ids.

    Does nothing while `most` pointers wait in the queue: then workers are behind, and the old ones may be among them.
    """
    ids = redis.eval(_script("sweep"), 2, keys.BATCHES, keys.FLUSH, after_seconds, most)
    overdue = [batch_id.decode() for batch_id in cast("list[bytes]", ids)]
    for batch_id in overdue:
        redis.eval(_script("publish_pointer"), 1, keys.FLUSH, message.encode_pointer(batch_id))
    return overdue


def open_batches(redis: Redis) -> list[str]:
    """Return the ids of the batches that are claimed and not committed, the oldest pointer first."""
    return [batch_id.decode() for batch_id in cast("list[bytes]", redis.zrange(keys.BATCHES, 0, -1))]


def postpone(redis: Redis, batch_id: str) -> None:
    """Count the age of the batch's pointer from now. Its worker will retry, so no second pointer is needed."""
    redis.eval(_script("postpone"), 1, keys.BATCHES, batch_id)
