"""② Claim: moves waiting messages into a batch, in one atomic step, and publishes lost pointers of batches again.

The scripts are the Lua files in this folder. If the pointer of a batch is lost, `sweep` finds the batch in the index of
open batches. So nothing depends on the memory of a message broker.
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

    size: maximum number of messages in a batch. waiting: nothing is claimed while this many pointers wait in the queue.
    open: nothing is claimed while this many batches of all workers are claimed and not committed.
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

    most: maximum number of batches. Does nothing while this many pointers wait in the queue, because the old pointers
    may be among them.
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
    """Set the age of the batch's pointer to zero. Its worker will retry, so no second pointer is needed."""
    redis.eval(_script("postpone"), 1, keys.BATCHES, batch_id)
