"""The deletion job: deletes the data of communities whose bot was removed some time ago."""

from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, text

from participation import log, mentions
from participation.store import dead_letters, locks
from participation.store.communities import presence
from participation.store.communities.presence import Removal
from participation.store.database import transaction
from participation.store.days import calendar, parts
from participation.store.schema import partitions


class Deletion(NamedTuple):
    """The data of a community that was deleted. is_whole: nothing is left of the community on any platform."""

    community_id: str
    platform: str
    events: int
    is_whole: bool


_DELETE_COMMUNITY_EVENTS: Final = f"""
WITH deleted AS (
    DELETE FROM {{partition}} WHERE community_id = :community_id AND platform = :platform
    RETURNING community_id, occurred_at, event_type, actor_kind
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source="deleted")}
)
SELECT count(*) FROM deleted
"""

_HAS_EVENTS = text("SELECT EXISTS (SELECT FROM participation_events WHERE community_id = :community_id)")

_DELETE_COMMUNITY = [
    text(f"DELETE FROM {table} WHERE community_id = :community_id")
    for table in (
        "member_daily_highlights",
        "community_daily_highlights",
        "channel_daily_highlights",
        "due_days",
        "community_non_users",
        "account_names",
        "channel_names",
        "space_names",
        "communities",
    )
]

_DELETE_PLATFORM = [
    text(f"DELETE FROM {table} WHERE community_id = :community_id AND platform = :platform")
    for table in ("community_non_users", "account_names", "channel_names", "space_names")
]


def delete_due(engine: Engine, grace_days: int) -> list[Deletion]:
    """Delete the data of bots that were removed longer ago than the grace period; return what was deleted.

    Repeating it is safe, also in two processes at once.
    """
    with transaction(engine) as connection:
        due = presence.due_removals(connection, grace_days)
    return [deletion for each in due if (deletion := _delete(engine, each, grace_days)) is not None]


def _delete(engine: Engine, removal: Removal, grace_days: int) -> Deletion | None:
    """Delete partition by partition; return None if the bot came back, or another process deleted the data."""
    events = _delete_events(engine, removal, grace_days)
    if events is None:
        return None
    _delete_letters(engine, removal)
    with transaction(engine) as connection:
        # Flushes share this lock. So no flush can store events of a community while it is deleted.
        locks.lock_time_zones(connection)
        if not presence.lock_if_due(connection, removal, grace_days):
            return None
        has_parts = len(parts.parts_of(connection, removal.community_id)) > 1
        is_whole = not has_parts and not _has_events(connection, removal.community_id)
        for statement in _DELETE_COMMUNITY if is_whole else []:
            connection.execute(statement, {"community_id": removal.community_id})
        where = {"community_id": removal.community_id, "platform": removal.platform}
        for statement in _DELETE_PLATFORM:
            connection.execute(statement, where)
        presence.delete_presence(connection, removal)
    deletion = Deletion(removal.community_id, removal.platform, events, is_whole)
    log.event("community_deleted", **deletion._asdict())
    return deletion


def _delete_events(engine: Engine, removal: Removal, grace_days: int) -> int | None:
    """Delete the events and mark their days; return how many, or None if the removal is no longer due."""
    with transaction(engine) as connection:
        names = partitions.names(connection)
    where = {"community_id": removal.community_id, "platform": removal.platform}
    events = 0
    for name in names:
        with transaction(engine) as connection:
            locks.share_time_zones(connection)
            if not presence.lock_if_due(connection, removal, grace_days):
                return None
            events += int(connection.scalar(text(_DELETE_COMMUNITY_EVENTS.format(partition=name)), where) or 0)
    return events


def _delete_letters(engine: Engine, removal: Removal) -> None:
    """Delete the dead letters of the platform, or all of the community if no other platform has events there."""
    with transaction(engine) as connection:
        platform = removal.platform if _has_events(connection, removal.community_id) else None
    dead_letters.delete_where(engine, lambda raw: mentions.is_in_community(raw, removal.community_id, platform))


def _has_events(connection: Connection, community_id: str) -> bool:
    return bool(connection.scalar(_HAS_EVENTS, {"community_id": community_id}))
