"""Every name in Redis, and every task name, in one place."""

from typing import Final

# Tasks. Bots in other languages send the first three. No worker runs these: they are claimed and stored in batches.

TRACK_EVENT: Final = "participation.track_event"
"""Name of the task that bots call (fixed)."""

NOTE_NAMES: Final = "participation.note_names"
"""Name of the task that tells the names of accounts, channels and spaces (fixed)."""

NOTE_PRESENCE: Final = "participation.note_presence"
"""Name of the task that tells whether a platform's bot is in a space."""

FLUSH_BATCH: Final = "participation.flush_batch"
"""Name of the task that stores a claimed batch."""

COMPUTE_DUE_DAYS: Final = "participation.compute_due_days"
"""Name of the task that sends a task for every due day. Beat sends it."""

COMPUTE_HIGHLIGHTS: Final = "participation.compute_highlights"
"""Name of the task that computes one local day of a community."""

MAINTAIN: Final = "participation.maintain"
"""Name of the hourly task for partitions, old batches and removed bots. Beat sends it."""

STOP_WORKER: Final = "participation_halt"
"""Name of the remote control command that ends a worker with an error."""

CLAIMED: Final = "claimed"
"""Field in a worker's answer about its queues: it claims from this one, and does not consume it."""

# Queues, which are Redis lists.

EVENTS: Final = "participation.events"
"""Name of the queue of events, and of its Redis list (fixed)."""

EVENT_LISTS: Final = (EVENTS, *(f"{EVENTS}\x06\x16{priority}" for priority in range(1, 10)))
"""The Redis lists of this queue: kombu uses one for each priority that a caller can give."""

FLUSH: Final = "participation.flush"
"""Queue of the pointers: tasks that each store one claimed batch."""

NIGHTLY: Final = "participation.nightly"
"""Queue of the tasks that Beat sends, and of the tasks that these send."""

# Other keys.

BATCHES: Final = "participation.batches"
"""Sorted set of the open batches: id → time (Redis `TIME`, seconds) at which its pointer was last published."""

PROBE: Final = "participation.probe"
"""A list that never exists. Appending to it "only if it exists" shows whether Redis accepts writes."""


def batch(batch_id: str) -> str:
    """Return the name of the list that contains the messages of a claimed batch until they are committed."""
    return f"participation.batch.{batch_id}"


def import_progress(import_id: object) -> str:
    """Return the name of the key with the progress of an import. The transaction that sends events sets it."""
    return f"participation.import.{import_id}"
