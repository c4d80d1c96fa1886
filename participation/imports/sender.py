"""Sends the events of an import, and counts them."""

import time
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

from redis import Redis

from participation import event, events_queue, message
from participation.errors import Unavailable
from participation.publish import import_sender
from participation.publish.sender import CHUNK

RETRY_SECONDS: Final = 60.0
"""How long an import tries again while Redis does not answer."""


class Import:
    """Sends events with an import id, so that their results are counted separately from live events.

    on_progress: called after every round trip.
    """

    def __init__(self, redis: Redis, on_progress: Callable[["Import"], None]) -> None:
        self.import_id: UUID = uuid4()
        self.accepted = 0
        self.refused = 0
        self.bytes_read = 0
        self._redis = redis
        self._on_progress = on_progress
        self._chunk: list[bytes] = []

    def add(self, value: object) -> None:
        """Validate an event and send it with the next chunk.

        Raises `InvalidEvent`, or `Unavailable` if Redis does not answer for a long time.
        """
        self._chunk.append(message.encode_json(event.to_json(event.decode(value)), self.import_id))
        if len(self._chunk) >= CHUNK:
            self.finish()

    def finish(self) -> None:
        """Send the events that were added and not sent yet. Raises `Unavailable`."""
        if not self._chunk:
            return
        events_queue.wait_for_room(self._redis, lambda: self._on_progress(self))
        self._send()
        self.accepted += len(self._chunk)
        self._chunk.clear()
        self._on_progress(self)

    def _send(self) -> None:
        """Send the chunk. If Redis did not answer, ask whether it has the chunk before sending it again."""
        deadline = time.monotonic() + RETRY_SECONDS
        last = str(self.accepted + len(self._chunk))
        repeated = False
        while True:
            try:
                if repeated and import_sender.read_progress(self._redis, self.import_id) == last:
                    return None
                return import_sender.send(self._redis, self._chunk, self.import_id, last)
            except Unavailable:
                if time.monotonic() > deadline or not self.accepted:
                    raise
                repeated = True
                time.sleep(1)
