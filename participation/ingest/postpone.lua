#!lua flags=allow-oom
-- Dates the pointer of an open batch as published now, also while Redis is full.
--
-- KEYS[1]  participation.batches: index of the open batches
-- ARGV[1]  id of the batch
return redis.call('ZADD', KEYS[1], 'XX', redis.call('TIME')[1], ARGV[1])
