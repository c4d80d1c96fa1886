"""How many messages wait in the events queue, and waiting until there is room."""

import time
from collections.abc import Callable
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from participation import keys
from participation.errors import Unavailable

QUEUE_LIMIT: Final = 50_000
"""Waiting events at which a program that sends many events pauses, so that Redis does not fill."""

PAUSE_SECONDS: Final = 0.05


def length(redis: Redis) -> int:
    """Return how many messages wait to be claimed. Raises `Unavailable`."""
    try:
        with redis.pipeline(transaction=False) as pipe:
            for name in keys.EVENT_LISTS:
                pipe.llen(name)
            return sum(pipe.execute())
    except RedisError as error:
        raise Unavailable(f"Redis: {error}: is it running, and is REDIS_URL right?") from error


def wait_for_room(redis: Redis, on_wait: Callable[[], None], limit: int = QUEUE_LIMIT) -> None:
    """Wait until at most `limit` messages wait to be claimed, and call `on_wait` meanwhile. Raises `Unavailable`."""
    while length(redis) > limit:
        on_wait()
        time.sleep(PAUSE_SECONDS)
