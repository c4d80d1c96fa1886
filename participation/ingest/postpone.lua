#!lua flags=allow-oom
-- Sets the time at which the pointer of an open batch was published to now. Also runs while Redis is full.
--
-- KEYS[1]  participation.batches: index of the open batches
-- ARGV[1]  id of the batch
return redis.call('ZADD', KEYS[1], 'XX', redis.call('TIME')[1], ARGV[1])
