"""Every name in Redis, and every name that a Celery message carries, in one place."""

from typing import Final

TRACK_EVENT: Final = "participation.track_event"
"""Name of the task that bots call (fixed)."""

FLUSH_BATCH: Final = "participation.flush_batch"
"""Name of the task that stores a claimed batch."""

NOTE_PRESENCE: Final = "participation.note_presence"
"""Name of the task that notes whether a platform's bot is in a community."""

EVENTS: Final = "participation.events"
"""Queue, and so the Redis list, into which every event goes (fixed)."""

EVENT_LISTS: Final = (EVENTS, *(f"{EVENTS}\x06\x16{priority}" for priority in range(1, 10)))
"""The lists in which kombu may put a message of this queue: one for each priority that a caller can give."""

FLUSH: Final = "participation.flush"
"""Queue of the pointer tasks, each naming one claimed batch."""

NIGHTLY: Final = "participation.nightly"
"""Queue of the tasks that Beat asks for."""

HALT: Final = "participation_halt"
"""Name of the remote control command that ends a worker with an error."""

BATCHES: Final = "participation.batches"
"""Sorted set of the open batches: id → time (Redis `TIME`, seconds) at which its pointer was last published."""

PROBE: Final = "participation.probe"
"""A list that is never there: appending to it only if it is tells whether Redis takes writes."""


def batch(batch_id: str) -> str:
    """Name the list that holds the messages of a claimed batch until they are committed."""
    return f"participation.batch.{batch_id}"


def import_progress(import_id: object) -> str:
    """Name the key under which an import notes how many of its events it has sent, in the step in which it sends."""
    return f"participation.import.{import_id}"
