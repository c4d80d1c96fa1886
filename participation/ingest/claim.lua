#!lua flags=allow-oom
-- Moves up to `size` messages, the oldest first, from the event lists into the list of a new batch. In the same step,
-- adds the batch's id to the index of open batches, and the pointer to its queue.
--
-- KEYS[1]   participation.batches: index of the open batches
-- KEYS[2]   participation.flush: queue of the pointers
-- KEYS[3]   participation.batch.<id>: list of the new batch
-- KEYS[4…]  participation.events, and its lists of other priorities
-- ARGV      id of the batch, size, waiting, open (see `claim.Limits`), message of the pointer
-- Returns how many messages were moved.
--
-- allow-oom: the script must also run while Redis is full. Redis does not roll back scripts, so each slice is written
-- before it is removed. No slice is longer than `unpack` allows.
local index, pointers, batch = KEYS[1], KEYS[2], KEYS[3]
local id, size, waiting, open = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- If the answer of an earlier call was lost, the batch exists. Do not overwrite it.
if redis.call('EXISTS', batch) == 1 then return redis.call('LLEN', batch) end
if redis.call('LLEN', pointers) >= waiting or redis.call('ZCARD', index) >= open then return 0 end
local lengths, waits = {}, 0
for list = 4, #KEYS do
    lengths[list] = redis.call('LLEN', KEYS[list])
    waits = waits + lengths[list]
end
if waits == 0 then return 0 end
local claimed = 0
local function move()
    for list = 4, #KEYS do
        local length = lengths[list]
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
                claimed, length = claimed + slice, length - slice
                redis.call('LTRIM', KEYS[list], 0, -slice - 1)
            end
        end
    end
end
-- The index comes first: if the Redis user may not send ZADD, the script stops before it moves messages. If a later
-- command is refused, a batch that has messages is stored, and an empty one is taken out of the index.
redis.call('ZADD', index, redis.call('TIME')[1], id)
local is_done, problem = pcall(move)
if claimed == 0 then redis.call('ZREM', index, id) else redis.call('LPUSH', pointers, ARGV[5]) end
-- Redis raises tables, Valkey texts.
if not is_done then return redis.error_reply(type(problem) == 'table' and problem.err or problem) end
return claimed
