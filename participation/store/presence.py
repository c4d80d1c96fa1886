"""Whether the bot of a platform is in a community, and the deletion of what it brought a while after it was removed.

Another sign that it is there again, or another one is: an event that occurred after it was removed.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, text

from participation import event
from participation.errors import InvalidEvent
from participation.event import AHEAD
from participation.store import calendar, erasure, partitions, whose
from participation.store.database import transaction

logger = logging.getLogger(__name__)


class Notice(NamedTuple):
    """That the bot of a platform was removed from a community, or is there again, and when."""

    community_id: str
    platform: str
    is_present: bool
    changed_at: datetime


class Removal(NamedTuple):
    """What a removed bot had brought to a community, and from when on it may be deleted."""

    community_id: str
    platform: str
    due_at: datetime


class Deleted(NamedTuple):
    """What was deleted of a community. is_whole: nothing is left of it, on any platform."""

    community_id: str
    platform: str
    events: int
    is_whole: bool


_NOTE = text("""
INSERT INTO community_bots AS b (community_id, platform, is_present, changed_at)
VALUES (:community_id, :platform, :is_present, :changed_at)
ON CONFLICT (community_id, platform) DO UPDATE
SET is_present = excluded.is_present, changed_at = excluded.changed_at
WHERE (excluded.changed_at, excluded.is_present) > (b.changed_at, b.is_present)
""")

# The clocks of bots and platforms differ: what occurred a moment later was seen before the bot was removed. Queued
# events have that long, too, before what they belong to goes.
_REMOVALS: Final = """
SELECT community_id, platform, changed_at + greatest(CAST(:grace AS interval), CAST(:margin AS interval)) AS due_at
FROM community_bots AS b
WHERE NOT is_present AND NOT EXISTS (
    SELECT FROM participation_events AS e
    WHERE e.community_id = b.community_id AND e.platform = b.platform
        AND e.occurred_at > b.changed_at + CAST(:margin AS interval)
)
"""

_ALL = text(f"{_REMOVALS} ORDER BY community_id, platform")

_DUE = text(f"SELECT * FROM ({_REMOVALS}) AS removals WHERE due_at <= now() ORDER BY community_id, platform")

# Locked, so that a bot that comes back meanwhile waits for this step, and stops the next one.
_STILL = text(f"""
{_REMOVALS} AND community_id = :community_id AND platform = :platform
    AND changed_at + greatest(CAST(:grace AS interval), CAST(:margin AS interval)) <= now()
FOR UPDATE OF b
""")

_HAS_EVENTS = text("SELECT EXISTS (SELECT FROM participation_events WHERE community_id = :community_id)")

_CLEAR = [
    text(f"DELETE FROM {table} WHERE community_id = :community_id")
    for table in ("member_daily_highlights", "community_daily_highlights", "due_days", "communities")
]

_DONE = text("DELETE FROM community_bots WHERE community_id = :community_id AND platform = :platform")


def read(value: object) -> Notice:
    """Read a notice: a JSON object with the fields of `Notice`. Raises `InvalidEvent` naming what is wrong."""
    if not isinstance(value, Mapping) or set(value) != set(Notice._fields):
        raise InvalidEvent("notice", f"must be one JSON object of {', '.join(Notice._fields)}", value)
    given: Mapping[str, Any] = value
    event.check(community_id=given["community_id"], platform=given["platform"])
    if not isinstance(given["is_present"], bool):
        raise InvalidEvent("is_present", "must be true or false", given["is_present"])
    try:
        return Notice(**{**given, "changed_at": event.instant(given["changed_at"])})
    except ValueError as error:
        rule = "must be an RFC 3339 moment with an offset, not before 2000 and not ahead of the clock"
        raise InvalidEvent("changed_at", rule, given["changed_at"]) from error


def note(connection: Connection, notice: Notice) -> bool:
    """Remember the notice, unless a later one was there before; return whether it is news. The caller commits."""
    return bool(connection.execute(_NOTE, notice._asdict()).rowcount)


def removals(connection: Connection, grace_days: int) -> Sequence[Removal]:
    """Return what will be deleted if no bot comes back before."""
    return [Removal(*row) for row in connection.execute(_ALL, _period(grace_days))]


def delete_due(engine: Engine, grace_days: int) -> list[Deleted]:
    """Delete what is due; return what that was. Safe to repeat, and to run twice at once."""
    with transaction(engine) as connection:
        due = [Removal(*row) for row in connection.execute(_DUE, _period(grace_days))]
    return [deleted for each in due if (deleted := _delete(engine, each, grace_days)) is not None]


def _delete(engine: Engine, removal: Removal, grace_days: int) -> Deleted | None:
    """Delete partition by partition; return None if the bot came back, or somebody else has done it."""
    community_id, platform, _ = removal
    with transaction(engine) as connection:
        names = partitions.names(connection)
    events = 0
    for name in names:
        with transaction(engine) as connection:
            calendar.share(connection)
            if not _is_still_due(connection, removal, grace_days):
                return None
            events += erasure.community_events(connection, name, community_id, platform)
    with transaction(engine) as connection:
        others = platform if connection.scalar(_HAS_EVENTS, {"community_id": community_id}) else None
    erasure.letters(engine, lambda raw: whose.is_of(raw, community_id, others))
    with transaction(engine) as connection:
        # Flushes share it: none is on its way into a community that goes.
        calendar.change(connection)
        if not _is_still_due(connection, removal, grace_days):
            return None
        is_whole = not connection.scalar(_HAS_EVENTS, {"community_id": community_id})
        for clear in _CLEAR if is_whole else []:
            connection.execute(clear, {"community_id": community_id})
        connection.execute(_DONE, {"community_id": community_id, "platform": platform})
    deleted = Deleted(community_id, platform, events, is_whole)
    logger.info("community_deleted community_id=%r platform=%s events=%d is_whole=%s", *deleted)
    return deleted


def _is_still_due(connection: Connection, removal: Removal, grace_days: int) -> bool:
    key = {"community_id": removal.community_id, "platform": removal.platform}
    return connection.execute(_STILL, {**key, **_period(grace_days)}).first() is not None


def _period(grace_days: int) -> dict[str, timedelta]:
    return {"grace": timedelta(days=grace_days), "margin": AHEAD}
