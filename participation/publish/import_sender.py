"""Sends the messages of imports and replays, and stores their progress in the same Redis transaction.

If the answer of Redis is lost, the progress shows whether Redis took the messages. The events of bots are sent by
`sender`, with one command.
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
    """Put the messages into the events list and store the import's progress: both or neither.

    When this returns, Redis has acknowledged them. Raises `Unavailable` if Redis does not answer. Then `read_progress`
    shows whether Redis took them.
    """
    try:
        with redis.pipeline(transaction=True) as pipe:
            pipe.lpush(keys.EVENTS, *messages)
            pipe.set(keys.import_progress(import_id), progress, ex=PROGRESS_SECONDS)
            pipe.execute()
    except RedisError as error:
        raise Unavailable(f"Redis did not acknowledge the events ({error})") from error


def read_progress(redis: Redis, import_id: UUID) -> str | None:
    """Return the progress that the import stored last, or None. Raises `Unavailable`."""
    try:
        progress = redis.get(keys.import_progress(import_id))
    except RedisError as error:
        raise Unavailable(f"Redis: {error}") from error
    return progress.decode() if isinstance(progress, bytes) else None
