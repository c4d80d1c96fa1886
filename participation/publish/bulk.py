"""Sending many events at once: stock messages, hundreds to a round trip."""

import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from redis import Redis
from redis.exceptions import RedisError

from participation import keys
from participation.errors import Unavailable

PROGRESS_SECONDS = 3600
"""How long an import's note of its progress is kept after its last step."""

CHUNK: Final = 500
"""Events to one round trip."""

QUEUE_LIMIT: Final = 50_000
"""Waiting events at which whoever sends many pauses, so that Redis does not fill."""

PAUSE_SECONDS: Final = 0.05


def send(redis: Redis, messages: Sequence[bytes], import_id: UUID, progress: str) -> None:
    """Put the messages into the events list and note the import's progress, both or neither.

    When this returns, Redis has acknowledged them. Raises `Unavailable`: then `progress` tells whether it took them.
    """
    try:
        with redis.pipeline(transaction=True) as pipe:
            pipe.lpush(keys.EVENTS, *messages)
            pipe.set(keys.import_progress(import_id), progress, ex=PROGRESS_SECONDS)
            pipe.execute()
    except RedisError as error:
        raise Unavailable(f"Redis did not acknowledge the events ({error})") from error


def progress(redis: Redis, import_id: UUID) -> str | None:
    """Return the progress that the import noted last. Raises `Unavailable`."""
    try:
        noted = redis.get(keys.import_progress(import_id))
    except RedisError as error:
        raise Unavailable(f"Redis: {error}") from error
    return noted.decode() if isinstance(noted, bytes) else None


def waiting(redis: Redis) -> int:
    """Return how many events wait to be claimed."""
    try:
        with redis.pipeline(transaction=False) as pipe:
            for name in keys.EVENT_LISTS:
                pipe.llen(name)
            return sum(pipe.execute())
    except RedisError as error:
        raise Unavailable(f"Redis: {error}: is it running, and is REDIS_URL right?") from error


def make_room(redis: Redis, on_pause: Callable[[], None], limit: int = QUEUE_LIMIT) -> None:
    """Wait until few enough events wait to be claimed; call `on_pause` while it lasts. Raises `Unavailable`."""
    while waiting(redis) > limit:
        on_pause()
        time.sleep(PAUSE_SECONDS)
