"""Sending many events at once: stock messages, hundreds to a round trip."""

from collections.abc import Sequence

from redis import Redis
from redis.exceptions import RedisError

from participation import keys
from participation.errors import Unavailable


def send(redis: Redis, messages: Sequence[bytes]) -> None:
    """Put the messages into the events list, all of them or none; when this returns, Redis has acknowledged them.

    Raises `Unavailable`: then it is unknown whether they were taken, and sending them again is safe.
    """
    try:
        redis.lpush(keys.EVENTS, *messages)
    except RedisError as error:
        raise Unavailable(f"Redis did not acknowledge the events ({error}): sending them again is safe") from error


def waiting(redis: Redis) -> int:
    """Return how many events wait to be claimed."""
    try:
        with redis.pipeline(transaction=False) as pipe:
            for name in keys.EVENT_LISTS:
                pipe.llen(name)
            return sum(pipe.execute())
    except RedisError as error:
        raise Unavailable(f"Redis: {error}: is it running, and is REDIS_URL right?") from error
