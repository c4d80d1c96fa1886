"""The Celery tasks. Each is a few lines that call the other packages. Engines and clients are created on first use.

The other packages are imported when a task runs, so that a bot that only publishes loads neither SQLAlchemy nor
psycopg2.
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

from participation import events_queue, keys, log, redis_client, settings
from participation.app import app
from participation.errors import InvalidEvent, Unavailable
from participation.publish.task import TrackEvent
from participation.publish.track_events import send_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celery import Task
    from redis import Redis
    from sqlalchemy import Engine

    from participation.event import Event

LONGEST_PAUSE_SECONDS = 15.0
"""Longest pause before a batch is tried again."""

REASON_CHARACTERS = 500
"""Maximum length of an unexpected error in the log line of the worker that it stops, in characters."""

REQUEST = "participation.worker:StoringRequest"
"""The class of a task's request in the main process of a worker. Only workers load it."""

REDIS_TIMEOUT_SECONDS = 30.0
"""Longest wait for an answer of Redis while a batch is read."""


@cache
def _engine() -> Engine:
    from participation.store.database import worker_engine

    return worker_engine(settings.load())


@cache
def _redis() -> Redis:
    return redis_client.connect(settings.load().redis(), REDIS_TIMEOUT_SECONDS)


@cache
def _keep_names() -> bool:
    return settings.load().names == "on"


@app.task(base=TrackEvent, name=keys.TRACK_EVENT, bind=True, shared=False)
def track_event(self: Task[Any, Any], event: object) -> dict[str, int] | None:
    """Store one event.

    Bots call `track_event.delay(event)`. Only a stock worker that consumes the events queue runs this function. That is
    correct, but slow.
    """
    from participation.ingest.flush import store_elements

    # Encoded again, with kombu's own types, so that it is checked like every other message.
    headers = {"task": keys.TRACK_EVENT, "import_id": (self.request.headers or {}).get("import_id")}
    raw = json.dumps({"body": [[event], {}], "headers": headers}).encode()
    batch_id = uuid5(NAMESPACE_OID, f"{self.request.id} {event!r}").hex
    try:
        counts = store_elements(_engine(), batch_id, [raw], keep_names=_keep_names())
    except Unavailable as error:
        if self.request.is_eager:
            raise
        time.sleep(_pause(0))
        raise Reject(error, requeue=True) from error
    return asdict(counts) if counts else None


def track_events(
    events: Iterable[Event | Mapping[str, Any]], queue_limit: int | None = events_queue.QUEUE_LIMIT
) -> int:
    """Publish many events, hundreds in each round trip; return how many, after Redis has acknowledged all of them.

    events: each in any form that `track_event.delay` takes. They are read as they are sent, so a generator of millions
    does not fill the memory. queue_limit: after the first 500 events, wait while more than this many events wait for a
    worker, so that Redis does not become full. None: never wait.

    Raises `InvalidEvent` for the first event that breaks a rule, with its `index`. Raises `Unavailable` if Redis
    refuses, or does not answer a round trip within `PARTICIPATION_PUBLISH_TIMEOUT_SECONDS`. The `acknowledged` of both
    is how many events, counted from the first, Redis has certainly taken. Sending the events after them again is safe,
    because duplicates are recognised.
    """
    return send_events(track_event, events, queue_limit)


@app.task(name=keys.FLUSH_BATCH, Request=REQUEST, bind=True, max_retries=None, shared=False)
def flush_batch(self: Task[Any, Any], batch_id: str) -> str:
    """Store a claimed batch; return the counts of its events, as a text for Flower.

    An unexpected error stops the worker: every other batch would fail too, until a person corrects the cause.
    """
    from participation.ingest.flush import flush

    try:
        counts = flush(_redis(), _engine(), batch_id, keep_names=_keep_names())
    except Unavailable as error:
        raise self.retry(exc=error, countdown=_pause(self.request.retries)) from error
    except Exception as error:
        reason = f"batch {batch_id} cannot be stored: {type(error).__name__}: {error}"[:REASON_CHARACTERS]
        app.control.broadcast(keys.STOP_WORKER, {"reason": reason}, destination=[str(self.request.hostname)])
        raise
    return str(counts) if counts else "stored before, or by another process"


@app.task(name=keys.COMPUTE_DUE_DAYS, Request=REQUEST, shared=False)
def compute_due_days() -> str:
    """Send a task for every local day that has ended and changed since it was computed; return how many, for Flower."""
    from participation.highlights.compute import list_due_days

    days = list_due_days(_engine())
    expires = settings.load().compute_interval_seconds
    for day in days:
        compute_highlights.apply_async((day.community_id, day.highlight_date.isoformat()), expires=expires)
    return f"{len(days):,} days due"


@app.task(name=keys.COMPUTE_HIGHLIGHTS, Request=REQUEST, autoretry_for=(Unavailable,), retry_backoff=True, shared=False)
def compute_highlights(community_id: str, highlight_date: str) -> str:
    """Compute one local day of a community; return both, for Flower.

    highlight_date: for example "2026-03-29".
    """
    from participation.highlights.compute import compute_day
    from participation.store.database import transaction

    with transaction(_engine()) as connection:
        known = compute_day(connection, community_id, date.fromisoformat(highlight_date))
    return f"{community_id} {highlight_date}" + ("" if known else " · unknown community")


@app.task(
    name=keys.NOTE_PRESENCE,
    Request=REQUEST,
    autoretry_for=(Unavailable,),
    retry_backoff=True,
    max_retries=None,
    shared=False,
)
def note_presence(notice: object = None) -> bool:
    """Store that a bot was removed from a space, or is in it again.

    Bots of version 0.2 and older send it to the nightly queue; now it travels with the events. notice: a JSON object
    with the fields of `notices.presence.Presence`. Returns False if a later notice was stored before, or if the notice
    is invalid, which is logged.
    """
    from participation.notices import presence
    from participation.store.communities.presence import store_presence
    from participation.store.database import transaction

    try:
        given = presence.decode(notice)
    except InvalidEvent as error:
        log.event("presence_refused", level=logging.ERROR, advice="correct the bot that sends it", detail=error)
        return False
    with transaction(_engine()) as connection:
        return store_presence(connection, given)


@app.task(name=keys.MAINTAIN, Request=REQUEST, shared=False)
def maintain() -> list[str]:
    """Create the coming partitions, and delete rows of old batches and data of removed bots and deleted communities.

    Also marks days that an older version computed with reactions to bots, and deletes stored names if names are not to
    be stored. Returns the names of the new partitions.
    """
    from participation.store.communities import deleted, grouping, names
    from participation.store.communities.deletion import delete_due
    from participation.store.database import transaction
    from participation.store.days.non_users import mark_contradicted_days
    from participation.store.ingest.batches import delete_old_batches
    from participation.store.schema.partitions import ahead

    configured = settings.load()
    with transaction(_engine()) as connection:
        delete_old_batches(connection, configured.batch_retention_days)
        mark_contradicted_days(connection)
        if configured.names == "off":
            names.erase_names(connection)
    made = ahead(_engine(), datetime.now(UTC), configured.partitions_ahead_months)
    delete_due(_engine(), configured.deletion_grace_days)
    deleted.finish(_engine())
    grouping.group_moved_spaces(_engine())
    return made


def _pause(tries: int) -> float:
    """Return the seconds to wait before the next try: exponential backoff, limited, with jitter."""
    # Shorter than the time after which the sweep publishes the batch again.
    longest = min(LONGEST_PAUSE_SECONDS, settings.load().sweep_after_seconds / 2)
    return min(longest, 0.5 * 2.0 ** min(tries, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
