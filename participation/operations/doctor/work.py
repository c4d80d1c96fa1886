"""Does somebody do the work: workers that take events, workers that compute days, and Beat."""

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
"""How long workers have to answer; all of it goes by, since nobody knows how many they are."""

WAITING_SECONDS: Final = 60.0
"""Age of the oldest event from which on something is the matter; a moment is usual."""

START: Final = "`celery -A participation.app worker`"

Workers = Mapping[str, Sequence[str]]
"""The workers that answered, by name, and the queues that each consumes."""


def ask_workers(url: str) -> Workers:
    """Return the workers on this Redis; empty if none answers."""
    try:
        with app.connection_for_write(url) as connection, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two workers of one name are one here
            answers = app.control.inspect(timeout=ANSWER_SECONDS, connection=connection).active_queues()
    except (OperationalError, CeleryError, RedisError, OSError):
        return {}
    return {name: [queue["name"] for queue in queues] for name, queues in _mapping(answers).items()}


def _mapping(answers: Any) -> Mapping[str, Sequence[Mapping[str, str]]]:
    return answers or {}


def workers(found: Workers) -> Iterator[Finding]:
    """Whether each queue has somebody who consumes it, and the events queue nobody who pops it."""
    flush = [name for name, queues in found.items() if keys.FLUSH in queues]
    if flush:
        yield ok("workers", f"{len(flush)}: {', '.join(sorted(flush))}")
        if not any(keys.NIGHTLY in queues for queues in found.values()):
            cure = f"start a worker that consumes it, too: {START} without `--queues`"
            yield warn("nightly", "no worker consumes participation.nightly", "no day is computed", cure)
    else:
        yield warn("workers", "none answers", postgresql.STAYS, f"start one: {START}")
    stock = sorted(name for name, queues in found.items() if keys.EVENTS in queues)
    if stock:
        meaning = "an event that is popped by itself is lost if that worker is killed at this moment"
        cure = f"take {keys.EVENTS} out of its `--queues`: events are claimed in batches without it"
        yield weak("events queue", f"consumed by {', '.join(stock)}", meaning, cure)


def queue(facts: redis.Facts, sweep_after_seconds: float) -> Iterator[Finding]:
    """How long events and batches have been waiting."""
    now = facts.waiting
    age = now.oldest_waiting_seconds
    found = (
        f"{now.queue_length:,} waiting" if age is None else f"{now.queue_length:,} waiting, the oldest for {age:,.0f} s"
    )
    if age is not None and age > WAITING_SECONDS:
        meaning = "workers are away, too slow, or cannot store; events are safe until Redis is full"
        yield warn("events", found, meaning, "read the log of the workers; start more of them if it is clean")
    else:
        yield ok("events", found)
    pointer_age = facts.pointer_age_seconds
    if pointer_age is not None and pointer_age > 2 * sweep_after_seconds:
        found = f"{now.batches_in_flight:,} open, nobody took the oldest up for {pointer_age:,.0f} s"
        meaning = f"a worker would have handed it out again after {sweep_after_seconds:g} s"
        yield warn("batches", found, meaning, f"start a worker: {START}")
    else:
        yield ok("batches", f"{now.batches_in_flight:,} open")


def books(work: postgresql.Work, compute_interval_seconds: float) -> Iterator[Finding]:
    """Dead letters, and days that are over and not computed."""
    dead, days = work.books.dead_letters, work.books.days_due
    if dead:
        cure = "`participation dead-letters list` shows the reasons, `replay` sends them again"
        yield note("dead letters", f"{dead:,}", "they are not among the stored events", cure)
    else:
        yield ok("dead letters", "none")
    late = timedelta(seconds=2 * compute_interval_seconds)
    if work.oldest_due_at is not None and work.books.checked_at - work.oldest_due_at > late:
        minutes = (work.books.checked_at - work.oldest_due_at).total_seconds() / 60
        found = f"{days:,} over and not computed, the oldest for {minutes:,.0f} min"
        meaning = f"Beat asks for them every {compute_interval_seconds / 60:g} min: it is away, or workers are too slow"
        cure = "see that Beat runs: `celery -A participation.app beat`; or run `participation highlights compute`"
        yield warn("days due", found, meaning, cure)
    else:
        yield ok("days due", f"{days:,}")


def judge(
    settings: Settings, events: redis.Facts | None, stored: postgresql.Work | None, found: Workers | None
) -> Iterator[Finding]:
    """Yield what can be said of the work; None is what could not be asked."""
    if found is not None:
        yield from workers(found)
    if events is not None:
        yield from queue(events, settings.sweep_after_seconds)
    if stored is not None:
        yield from books(stored, settings.compute_interval_seconds)
