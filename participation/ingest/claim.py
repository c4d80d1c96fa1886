"""② Claim: move events, atomically, from the events list into a batch of their own, and keep an eye on it.

In the same step the batch's id goes into the index of open batches, and the task that points to it into its queue.
Whatever happens to the pointer, `sweep` finds the batch again, so nothing rests on a message broker's memory.
"""

from dataclasses import dataclass
from typing import Final, cast
from uuid import uuid4

from redis import Redis

from participation import keys, message

# allow-oom: a Redis that is full must still be drained. Scripts do not roll back, so each slice is written before it
# is cut off, and none is longer than what `unpack` can take.
_CLAIM: Final = """#!lua flags=allow-oom
local index, pointers, batch = KEYS[1], KEYS[2], KEYS[3]
local id, size, waiting, open = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- Asked again because the answer was lost: what was claimed must not be written over.
if redis.call('EXISTS', batch) == 1 then return redis.call('LLEN', batch) end
if redis.call('LLEN', pointers) >= waiting or redis.call('ZCARD', index) >= open then return 0 end
local claimed = 0
for list = 4, #KEYS do
    local length = redis.call('LLEN', KEYS[list])
    if length > 0 and claimed == 0 and length <= size then
        redis.call('RENAME', KEYS[list], batch)
        claimed = length
    else
        while length > 0 and claimed < size do
            local slice = math.min(1000, length, size - claimed)
            local oldest = {}
            for place, element in ipairs(redis.call('LRANGE', KEYS[list], -slice, -1)) do
                oldest[slice - place + 1] = element
            end
            redis.call('LPUSH', batch, unpack(oldest))
            redis.call('LTRIM', KEYS[list], 0, -slice - 1)
            claimed, length = claimed + slice, length - slice
        end
    end
end
if claimed > 0 then
    redis.call('ZADD', index, redis.call('TIME')[1], id)
    redis.call('LPUSH', pointers, ARGV[5])
end
return claimed
"""

_OVERDUE: Final = """#!lua flags=allow-oom
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[2]) then return {} end
local now = tonumber(redis.call('TIME')[1])
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now, id) end
return ids
"""

_PUBLISH: Final = """#!lua flags=allow-oom
return redis.call('LPUSH', KEYS[1], ARGV[1])
"""


_POSTPONE: Final = """#!lua flags=allow-oom
return redis.call('ZADD', KEYS[1], 'XX', redis.call('TIME')[1], ARGV[1])
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a worker claims at a time.

    size: most events in a batch. waiting: pointers in the queue at which it leaves the events where they are.
    open: batches claimed and not yet committed, over all workers, at which it does.
    """

    size: int
    waiting: int
    open: int


def claim(redis: Redis, limits: Limits) -> str | None:
    """Move up to `limits.size` events into a new batch and publish its pointer; return its id.

    Returns None when there is nothing to claim, or enough is claimed.
    """
    batch_id = uuid4().hex
    names = [keys.BATCHES, keys.FLUSH, keys.batch(batch_id), *keys.EVENT_LISTS]
    bounds = [limits.size, limits.waiting, limits.open]
    claimed = redis.eval(_CLAIM, len(names), *names, batch_id, *bounds, message.pointer(batch_id))
    return batch_id if claimed else None


def sweep(redis: Redis, after_seconds: float, most: int) -> list[str]:
    """Publish anew the pointers of open batches whose last one is so old that it may be lost; return their ids.

    Not while `most` pointers wait in the queue: then workers are behind, and the old ones may be among them.
    """
    ids = redis.eval(_OVERDUE, 2, keys.BATCHES, keys.FLUSH, after_seconds, most)
    overdue = [batch_id.decode() for batch_id in cast("list[bytes]", ids)]
    for batch_id in overdue:
        redis.eval(_PUBLISH, 1, keys.FLUSH, message.pointer(batch_id))
    return overdue


def open_batches(redis: Redis) -> list[str]:
    """Return the ids of the batches that are claimed and not committed yet, the oldest pointer first."""
    return [batch_id.decode() for batch_id in cast("list[bytes]", redis.zrange(keys.BATCHES, 0, -1))]


def postpone(redis: Redis, batch_id: str) -> None:
    """Count the batch's age from now again: whoever has it in hand tries again, and no second pointer is needed."""
    redis.eval(_POSTPONE, 1, keys.BATCHES, batch_id)
