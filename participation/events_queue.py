"""Counts the messages that wait in the events queue, and waits until there is room."""

import time
from collections.abc import Callable
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from participation import keys
from participation.errors import Unavailable

QUEUE_LIMIT: Final = 50_000
"""Programs that send many events pause while more than this wait, so that Redis does not become full."""

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
