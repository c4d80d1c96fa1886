#!lua flags=allow-oom
-- Finds open batches whose pointer is so old that it may be lost, and sets the time of its publication to now. Also sets
-- times in the future to now: they occur after the clock of Redis was set back. These batches are not returned.
--
-- KEYS[1]  participation.batches: index of the open batches
-- KEYS[2]  participation.flush: queue of the pointers
-- ARGV     age in seconds, maximum number of batches
-- Returns the ids of the batches, or none while that many pointers wait in the queue: the old ones may be among them.
if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[2]) then return {} end
local now = tonumber(redis.call('TIME')[1])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'LIMIT', 0, 1000)) do
    redis.call('ZADD', KEYS[1], now, id)
end
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now, id) end
return ids
