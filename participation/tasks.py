"""The Celery tasks: a few lines each, calling the rooms of the house. Engines and clients are made on first use.

Rooms are imported when a task runs: a bot that only publishes loads neither SQLAlchemy nor psycopg2.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from celery.exceptions import Reject
from kombu.utils import json

from participation import broker, keys, settings
from participation.app import app
from participation.errors import InvalidEvent, Unavailable
from participation.publish import bulk, many
from participation.publish.task import TrackEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celery import Task
    from redis import Redis
    from sqlalchemy import Engine

    from participation.event import Event

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 15.0
"""Upper limit of the pause before a batch is tried again."""

REASON_CHARACTERS = 500
"""Most of an unknown error that a worker which ends for it says."""

REDIS_TIMEOUT_SECONDS = 30.0
"""Longest wait for Redis to hand over a batch."""


@cache
def _engine() -> Engine:
    from participation.store.database import connect

    configured = settings.load()
    return connect(configured.database(), configured.lock_timeout_seconds, 3 * configured.lock_timeout_seconds)


@cache
def _redis() -> Redis:
    return broker.connect(settings.load().redis(), REDIS_TIMEOUT_SECONDS)


@app.task(base=TrackEvent, name=keys.TRACK_EVENT, bind=True, shared=False)
def track_event(self: Task[Any, Any], event: object) -> dict[str, int] | None:
    """Store one event: what a stock worker that consumes the events queue does, slowly and rightly.

    Bots call `track_event.delay(event)` and never this body.
    """
    from participation.ingest.flush import store

    # Written anew as it came, kombu's own types included, so that it is judged like every other message.
    headers = {"task": keys.TRACK_EVENT, "import_id": (self.request.headers or {}).get("import_id")}
    raw = json.dumps({"body": [[event], {}], "headers": headers}).encode()
    batch_id = uuid5(NAMESPACE_OID, f"{self.request.id} {event!r}").hex
    try:
        counts = store(_engine(), batch_id, [raw])
    except Unavailable as error:
        if self.request.is_eager:
            raise
        time.sleep(_pause(0))
        raise Reject(error, requeue=True) from error
    return asdict(counts) if counts else None


def track_events(events: Iterable[Event | Mapping[str, Any]], queue_limit: int | None = bulk.QUEUE_LIMIT) -> int:
    """Send many events, hundreds to a round trip; return how many when Redis has acknowledged them all.

    events: each what `track_event.delay` takes; read as they are sent, so a generator of millions fills no memory.
    queue_limit: after the first 500, wait while more than so many events are waiting for a worker, so that Redis does
    not fill; None to never wait.

    Raises `InvalidEvent` for the first event that breaks a rule, with its `index`, and `Unavailable` when Redis refuses
    or does not answer a round trip within `PARTICIPATION_PUBLISH_TIMEOUT_SECONDS`. In both, `acknowledged` says how
    many, counted from the first, have certainly been taken. Sending again from there is safe: what Redis had taken
    of the rest is recognised.
    """
    return many.send(track_event, events, queue_limit)


@app.task(name=keys.FLUSH_BATCH, bind=True, max_retries=None, shared=False)
def flush_batch(self: Task[Any, Any], batch_id: str) -> dict[str, int] | None:
    """Store a claimed batch; return what became of its events, or None if it was done before.

    What is not known to pass by itself ends the worker: it would hurt every batch, and somebody has to look.
    """
    from participation.ingest.flush import flush

    try:
        counts = flush(_redis(), _engine(), batch_id)
    except Unavailable as error:
        raise self.retry(exc=error, countdown=_pause(self.request.retries)) from error
    except Exception as error:
        reason = f"batch {batch_id} cannot be stored: {type(error).__name__}: {error}"[:REASON_CHARACTERS]
        app.control.broadcast(keys.HALT, {"reason": reason}, destination=[str(self.request.hostname)])
        raise
    return asdict(counts) if counts else None


@app.task(name="participation.compute_due_days", shared=False)
def compute_due_days() -> int:
    """Ask for the computation of every local day that has closed and changed; return how many there are."""
    from participation.store import due
    from participation.store.database import transaction

    with transaction(_engine()) as connection:
        due.compact(connection)
        days = due.due(connection)
    expires = settings.load().compute_interval_seconds
    for day in days:
        compute_highlights.apply_async((day.community_id, day.highlight_date.isoformat()), expires=expires)
    return len(days)


@app.task(name="participation.compute_highlights", autoretry_for=(Unavailable,), retry_backoff=True, shared=False)
def compute_highlights(community_id: str, highlight_date: str) -> bool:
    """Compute one local day (as "2026-03-29") of a community; return False if the community is unknown."""
    from participation.store.database import transaction
    from participation.store.highlights import compute_day

    with transaction(_engine()) as connection:
        return compute_day(connection, community_id, date.fromisoformat(highlight_date))


@app.task(name=keys.NOTE_PRESENCE, autoretry_for=(Unavailable,), retry_backoff=True, max_retries=None, shared=False)
def note_presence(notice: object = None) -> bool:
    """Note that a bot was removed from a community or is there again, as `store.presence.Notice` says it.

    Returns whether it is news: False if a later notice came before, or if it cannot be read, which is logged.
    """
    from participation.store import presence
    from participation.store.database import transaction

    try:
        given = presence.read(notice)
    except InvalidEvent as error:
        logger.error("presence_refused detail=%r: correct the bot that sends it", str(error))  # noqa: TRY400
        return False
    with transaction(_engine()) as connection:
        return presence.note(connection, given)


@app.task(name="participation.maintain", shared=False)
def maintain() -> list[str]:
    """Make the partitions ahead, forget old batches, and delete the data of communities whose bot was removed.

    Returns the partitions made.
    """
    from participation.store import ledger, partitions, presence
    from participation.store.database import transaction

    configured = settings.load()
    with transaction(_engine()) as connection:
        ledger.forget_batches(connection, configured.batch_retention_days)
    made = partitions.ahead(_engine(), datetime.now(UTC), configured.partitions_ahead_months)
    presence.delete_due(_engine(), configured.deletion_grace_days)
    return made


def _pause(tries: int) -> float:
    """Return the seconds to wait before the next try: doubled each time, limited, and spread out."""
    # Shorter than what the sweeper waits: it would hand out the batch a second time.
    longest = min(LONGEST_PAUSE_SECONDS, settings.load().sweep_after_seconds / 2)
    return min(longest, 0.5 * 2.0 ** min(tries, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
