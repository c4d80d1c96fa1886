"""What a publisher counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of the events and notices of this process.

    tracked: taken by `track`. sent: acknowledged by Redis, including those from the spools of other processes. refused:
    not taken, because queue and spool are full or the publisher is closed. invalid: not taken, because a rule is
    broken. waiting: in memory. spooled: on disk.
    """

    tracked: int
    sent: int
    refused: int
    invalid: int
    waiting: int
    spooled: int


@dataclass(frozen=True, slots=True)
class Left:
    """What Redis has not acknowledged: events in memory, which are lost when the process ends, and events on disk."""

    waiting: int
    spooled: int
