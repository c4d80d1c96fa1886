"""Extends Celery Beat: after the clock was set back, Beat still sends its tasks on time."""

import logging
from datetime import UTC, datetime
from typing import Any, Final

from celery.beat import PersistentScheduler, ScheduleEntry
from celery.utils.time import maybe_make_aware

from participation import log

NEVER: Final = datetime.fromtimestamp(0, UTC)
"""A last run so long ago that the task is due at once."""


class Scheduler(PersistentScheduler):
    """Celery's scheduler, which sends a task at once if its last run lies in the future.

    Beat keeps the time of the last run in its schedule file, and would wait until that time comes again.
    """

    def tick(self, *heap_functions: Any, **named: Any) -> float:
        """Send at most one due task; return the seconds until the next call."""
        if self._forget_future_runs():
            self.populate_heap()
        return super().tick(*heap_functions, **named)

    def _forget_future_runs(self) -> bool:
        ahead = [each for each in self.schedule.values() if _last_run_at(each) > each.default_now()]
        for entry in ahead:
            advice = "the clock was set back; the task is sent now"
            log.event("last_run_in_future", level=logging.WARNING, advice=advice, task=entry.task, at=entry.last_run_at)
            entry.last_run_at = NEVER
        return bool(ahead)


def _last_run_at(entry: ScheduleEntry) -> datetime:
    return NEVER if entry.last_run_at is None else maybe_make_aware(entry.last_run_at)
