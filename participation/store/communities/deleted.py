"""Deletes a community because an operator asks for it, and remembers when, so that nothing earlier comes back.

The first transaction decides. The rest is deleted partition by partition, and `finish` continues after a failure.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, text

from participation import log, mentions
from participation.errors import ConfigError
from participation.event import quoted
from participation.store import dead_letters, locks
from participation.store.communities import settings as communities
from participation.store.database import transaction
from participation.store.days import calendar, due, parts
from participation.store.schema import partitions

OnProgress = Callable[[int, int], None]
"""Called after every step with the number of steps that are done, and the number of all steps."""


class DeletedCommunity(NamedTuple):
    """A community of which nothing is kept that occurred before `deleted_at`."""

    community_id: str
    deleted_at: datetime


# The time is taken after the lock, so that every event that is stored is from before it, if the bots' clocks are right.
_UPSERT_DELETED = text("""
INSERT INTO deleted_communities AS d (community_id, deleted_at)
SELECT given.id, clock_timestamp() FROM unnest(CAST(:ids AS text[])) AS given (id)
ON CONFLICT (community_id) DO UPDATE SET deleted_at = excluded.deleted_at, is_finished = false
""")

_SELECT_UNFINISHED = text("""
SELECT community_id, deleted_at FROM deleted_communities WHERE NOT is_finished ORDER BY community_id
""")

_DELETE_ROWS: Final = [
    text(f"DELETE FROM {table} WHERE community_id = ANY(CAST(:ids AS text[]))")
    for table in (
        "member_daily_highlights",
        "community_daily_highlights",
        "channel_daily_highlights",
        "due_days",
        "community_parts",
        "community_bots",
        "community_non_users",
        "account_names",
        "channel_names",
        "space_names",
        "communities",
    )
]

_DELETE_EARLIER_EVENTS: Final = f"""
WITH deleted AS (
    DELETE FROM {{partition}} WHERE community_id = :community_id AND occurred_at < :deleted_at
    RETURNING community_id, occurred_at, event_type, actor_kind
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source="deleted")}
)
SELECT count(*) FROM deleted
"""

# A bot whose clock is ahead may have sent events that are from after the deletion. They create the community again.
_INSERT_COMMUNITY_OF_LATER_EVENTS = text("""
INSERT INTO communities (community_id)
SELECT :community_id WHERE EXISTS (SELECT FROM participation_events WHERE community_id = :community_id)
ON CONFLICT DO NOTHING
RETURNING community_id
""")

_UPDATE_FINISHED = text("""
UPDATE deleted_communities SET is_finished = true WHERE community_id = :community_id AND deleted_at = :deleted_at
""")


def begin(connection: Connection, community_id: str) -> list[str]:
    """Delete the community with all its parts; return their ids. Their events are still to be deleted by `finish`.

    From the commit on, events, notices and dead letters from before are discarded when they arrive, and nothing of the
    community is shown. The caller commits. Repeating it before `finish` changes nothing. Raises `ConfigError` for an
    unknown community, and for a part.
    """
    locks.lock_time_zones(connection)
    if community_id in {each.community_id for each in unfinished(connection)} - {*communities.known_ids(connection)}:
        return [community_id]
    whole = communities.resolve(connection, community_id)
    if whole != community_id:
        raise ConfigError(
            f"{quoted(community_id)} is a part of {quoted(whole)}: run `participation communities ungroup "
            f"{community_id}` first, or delete {quoted(whole)} with all its parts"
        )
    ids = parts.parts_of(connection, community_id)
    connection.execute(_UPSERT_DELETED, {"ids": ids})
    for statement in _DELETE_ROWS:
        connection.execute(statement, {"ids": ids})
    return ids


def unfinished(connection: Connection) -> list[DeletedCommunity]:
    """Return the communities whose earlier events may not all be deleted yet."""
    return [DeletedCommunity(*row) for row in connection.execute(_SELECT_UNFINISHED)]


def finish(engine: Engine, on_progress: OnProgress = lambda done, total: None) -> int:
    """Delete the events and dead letters of all deleted communities; return how many events were deleted.

    Repeating it is safe, also in two processes at once.
    """
    with transaction(engine) as connection:
        waiting = unfinished(connection)
        names = partitions.names(connection) if waiting else []
    events, steps = 0, len(waiting) * (len(names) + 1)
    for number, each in enumerate(waiting):
        for done, name in enumerate(names, 1):
            events += _delete_events(engine, each, name)
            on_progress(number * (len(names) + 1) + done, steps)
        dead_letters.delete_where(engine, partial(_is_earlier, each))
        with transaction(engine) as connection:
            _complete(connection, each)
        log.event("deletion_finished", community_id=each.community_id, events=events)
        on_progress((number + 1) * (len(names) + 1), steps)
    return events


def _delete_events(engine: Engine, deleted: DeletedCommunity, partition: str) -> int:
    with transaction(engine) as connection:
        locks.share_time_zones(connection)
        statement = text(_DELETE_EARLIER_EVENTS.format(partition=partition))
        return int(connection.scalar(statement, deleted._asdict()) or 0)


def _is_earlier(deleted: DeletedCommunity, raw: bytes) -> bool:
    return mentions.is_in_community(raw, deleted.community_id, None, before=deleted.deleted_at)


def _complete(connection: Connection, deleted: DeletedCommunity) -> None:
    locks.lock_time_zones(connection)
    if connection.scalar(_INSERT_COMMUNITY_OF_LATER_EVENTS, deleted._asdict()):
        due.mark_all_days(connection, deleted.community_id)
    connection.execute(_UPDATE_FINISHED, deleted._asdict())
