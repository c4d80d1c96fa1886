#!lua flags=allow-oom
-- Publishes a pointer. Also runs while Redis is full.
--
-- KEYS[1]  participation.flush: queue of the pointers
-- ARGV[1]  message of the pointer
return redis.call('LPUSH', KEYS[1], ARGV[1])
