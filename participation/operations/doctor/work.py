"""Do workers take events and compute days, and does Beat run?"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from celery.exceptions import CeleryError
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from participation import keys
from participation.app import app
from participation.operations.doctor import postgresql, redis
from participation.operations.doctor.finding import Finding, note, ok, warn, weak
from participation.settings import Settings

ANSWER_SECONDS: Final = 1.0
"""How long to wait for workers. It always takes this long, because their number is unknown."""

WAITING_SECONDS: Final = 60.0
"""Age of the oldest waiting event that causes a warning. Events usually wait for less than a second."""

START: Final = "`celery -A participation.app worker`"

Workers = Mapping[str, Sequence[str]]
"""The workers that answered, by name, and the queues that each consumes."""


def ask_workers(url: str) -> Workers:
    """Return the workers on this Redis; empty if none answers."""
    try:
        with app.connection_for_write(url) as connection, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two workers with the same name count as one
            answers = app.control.inspect(timeout=ANSWER_SECONDS, connection=connection).active_queues()
    except (OperationalError, CeleryError, RedisError, OSError):
        return {}
    return {
        name: [queue["name"] for queue in queues if keys.CLAIMED not in queue]
        for name, queues in _mapping(answers).items()
    }


def _mapping(answers: Any) -> Mapping[str, Sequence[Mapping[str, str]]]:
    return answers or {}


def workers(found: Workers) -> Iterator[Finding]:
    """Check that the queues have consumers, and that the events queue has none."""
    flush = [name for name, queues in found.items() if keys.FLUSH in queues]
    if flush:
        yield ok("workers", f"{len(flush)}: {', '.join(sorted(flush))}")
        if not any(keys.NIGHTLY in queues for queues in found.values()):
            cure = f"start a worker for this queue: {START} without `--queues`"
            yield warn("nightly", "no worker consumes participation.nightly", "no day is computed", cure)
    else:
        yield warn("workers", "none answers", postgresql.STAYS, f"start one: {START}")
    stock = sorted(name for name, queues in found.items() if keys.EVENTS in queues)
    if stock:
        meaning = "this worker takes events one by one, and loses an event if it is killed at this moment"
        cure = f"remove {keys.EVENTS} from its `--queues`: workers claim events in batches without it"
        yield weak("events queue", f"consumed by {', '.join(stock)}", meaning, cure)


def queue(facts: redis.Facts, sweep_after_seconds: float) -> Iterator[Finding]:
    """Check how long events and batches wait."""
    now = facts.waiting
    age = now.oldest_waiting_seconds
    found = (
        f"{now.queue_length:,} waiting" if age is None else f"{now.queue_length:,} waiting, the oldest for {age:,.0f} s"
    )
    if age is not None and age > WAITING_SECONDS:
        meaning = "workers are missing, too slow, or cannot store events; events are safe until Redis is full"
        yield warn("events", found, meaning, "read the logs of the workers; if they show no error, start more workers")
    else:
        yield ok("events", found)
    pointer_age = facts.pointer_age_seconds
    if pointer_age is not None and pointer_age > 2 * sweep_after_seconds:
        found = f"{now.batches_in_flight:,} open, the oldest was given to a worker {pointer_age:,.0f} s ago"
        meaning = f"a running worker gives it out again after {sweep_after_seconds:g} s"
        yield warn("batches", found, meaning, f"start a worker: {START}")
    else:
        yield ok("batches", f"{now.batches_in_flight:,} open")


def stored_work(work: postgresql.Work, compute_interval_seconds: float) -> Iterator[Finding]:
    """Check dead letters, and days that have ended and are not computed."""
    dead, days = work.stored.dead_letters, work.stored.days_due
    if dead:
        cure = "`participation dead-letters list` shows the reasons, and `replay` sends them again"
        yield note("dead letters", f"{dead:,}", "these messages are not stored as events", cure)
    else:
        yield ok("dead letters", "none")
    late = timedelta(seconds=2 * compute_interval_seconds)
    if work.oldest_due_at is not None and work.stored.checked_at - work.oldest_due_at > late:
        minutes = (work.stored.checked_at - work.oldest_due_at).total_seconds() / 60
        found = f"{days:,} not computed, the oldest has waited for {minutes:,.0f} min"
        meaning = f"Beat asks every {compute_interval_seconds / 60:g} min: Beat does not run, or workers are too slow"
        cure = "start Beat (`celery -A participation.app beat`), or run `participation highlights compute`"
        yield warn("days due", found, meaning, cure)
    else:
        yield ok("days due", f"{days:,}")


def judge(
    settings: Settings, events: redis.Facts | None, stored: postgresql.Work | None, found: Workers | None
) -> Iterator[Finding]:
    """Yield the findings about the work. An argument is None if it could not be read."""
    if found is not None:
        yield from workers(found)
    if events is not None:
        yield from queue(events, settings.sweep_after_seconds)
    if stored is not None:
        yield from stored_work(stored, settings.compute_interval_seconds)
