"""Sending messages together with a count of them, for imports and replays.

`sender` sends what bots publish, with one command; here a transaction also notes the progress, so that after a lost
answer the import can tell whether Redis took the messages.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from redis import Redis
from redis.exceptions import RedisError

from participation import keys
from participation.errors import Unavailable

PROGRESS_SECONDS: Final = 3600
"""How long an import's progress is kept after its last step."""


def send(redis: Redis, messages: Sequence[bytes], import_id: UUID, progress: str) -> None:
    """Put the messages into the events list and note the import's progress: both or neither.

    When this returns, Redis has acknowledged them. Raises `Unavailable`: then `read_progress` tells whether it took
    them.
    """
    try:
        with redis.pipeline(transaction=True) as pipe:
            pipe.lpush(keys.EVENTS, *messages)
            pipe.set(keys.import_progress(import_id), progress, ex=PROGRESS_SECONDS)
            pipe.execute()
    except RedisError as error:
        raise Unavailable(f"Redis did not acknowledge the events ({error})") from error


def read_progress(redis: Redis, import_id: UUID) -> str | None:
    """Return the progress that the import noted last, or None. Raises `Unavailable`."""
    try:
        noted = redis.get(keys.import_progress(import_id))
    except RedisError as error:
        raise Unavailable(f"Redis: {error}") from error
    return noted.decode() if isinstance(noted, bytes) else None
