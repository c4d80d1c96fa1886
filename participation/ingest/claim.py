"""② Claim: move events, atomically, from the events list into a batch of their own, and keep an eye on it.

The batch's id goes into the index of open batches in the same step. Whatever happens to the pointer task that is
published next, `overdue` finds the batch again, so nothing rests on a message broker's memory.
"""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from redis import Redis

from participation import keys

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
if claimed > 0 then redis.call('ZADD', index, redis.call('TIME')[1], id) end
return claimed
"""

_OVERDUE: Final = """#!lua flags=allow-oom
local now = tonumber(redis.call('TIME')[1])
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now, id) end
return ids
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
    """Move up to `limits.size` events into a new batch; return its id, or None when there is nothing to claim."""
    batch_id = uuid4().hex
    names = [keys.BATCHES, keys.FLUSH, keys.batch(batch_id), *keys.EVENT_LISTS]
    claimed = redis.eval(_CLAIM, len(names), *names, batch_id, limits.size, limits.waiting, limits.open)
    return batch_id if claimed else None


def overdue(redis: Redis, after_seconds: float, most: int) -> list[str]:
    """Return open batches whose pointer was published so long ago that it may be lost, and count from now again."""
    ids = redis.eval(_OVERDUE, 1, keys.BATCHES, after_seconds, most)
    return [batch_id.decode() for batch_id in ids]
