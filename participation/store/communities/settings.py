"""Communities: their names and time zones. A community is created with its first event."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

from sqlalchemy import Connection, Engine, text

from participation.errors import ConfigError, Unavailable
from participation.event import quoted
from participation.store import locks
from participation.store.communities import zones
from participation.store.database import transaction
from participation.store.days import calendar


@dataclass(frozen=True, slots=True)
class Community:
    """A community. days: how many of its days are computed. last_date: the last of them."""

    community_id: str
    name: str | None
    timezone: str
    days: int
    last_date: date | None


_INSERT_COMMUNITIES = text("""
INSERT INTO communities (community_id) SELECT unnest(CAST(:ids AS text[])) ON CONFLICT DO NOTHING
""")

_IS_ANY_DELETED = text("""
SELECT EXISTS (
    SELECT FROM unnest(CAST(:ids AS text[])) AS given (community_id)
    WHERE NOT EXISTS (SELECT FROM communities AS c WHERE c.community_id = given.community_id)
)
""")

_SELECT_COMMUNITY_IDS = text("SELECT community_id FROM communities ORDER BY community_id")

_UPSERT_COMMUNITY = text("""
INSERT INTO communities AS c (community_id, name, timezone)
VALUES (:community_id, :name, coalesce(:timezone, 'UTC'))
ON CONFLICT (community_id) DO UPDATE
SET name = coalesce(excluded.name, c.name), timezone = coalesce(:timezone, c.timezone)
""")

_SELECT_TIME_ZONE = text("SELECT timezone FROM communities WHERE community_id = :community_id")

# Also marks the days that were computed in the old zone. Their rows are deleted if they have no events now.
_MARK_ALL_DAYS = text(f"""
INSERT INTO due_days (community_id, highlight_date)
{calendar.EVENT_DAYS}
UNION
SELECT community_id, highlight_date FROM community_daily_highlights WHERE community_id = :community_id
""")

# In the new zone these days have not ended, so their rows may be of times that are still to come. Their marks stay.
_DELETE_UNENDED_DAYS = [
    text(f"""
    DELETE FROM {table} AS h USING communities AS c
    WHERE h.community_id = :community_id AND c.community_id = h.community_id
        AND highlight_date >= CAST(now() AT TIME ZONE timezone AS date)
    """)
    for table in ("member_daily_highlights", "community_daily_highlights")
]

_SELECT_COMMUNITIES = text("""
SELECT c.community_id, c.name, c.timezone, count(h.highlight_date) AS days, max(h.highlight_date) AS last_date
FROM communities AS c LEFT JOIN community_daily_highlights AS h USING (community_id)
GROUP BY c.community_id ORDER BY c.community_id
""")


def create_missing(engine: Engine, ids: Iterable[str]) -> None:
    """Create the communities that do not exist yet.

    Runs in a transaction of its own, before the one that inserts events. Otherwise two batches with a new community
    would wait for each other. Repeating it is safe.
    """
    with transaction(engine) as connection:
        connection.execute(_INSERT_COMMUNITIES, {"ids": sorted(ids)})


def check_not_deleted(connection: Connection, ids: Iterable[str]) -> None:
    """Raise `Unavailable` if one of the communities was deleted since `create_missing`.

    The caller holds `locks.share_time_zones`, so no community is deleted until its transaction ends.
    """
    if connection.scalar(_IS_ANY_DELETED, {"ids": list(ids)}):
        raise Unavailable("a community was deleted while its events were waiting to be stored: try again")


def configure(connection: Connection, community_id: str, timezone: str | None, name: str | None) -> bool:
    """Set the community's time zone and name, and create it if necessary; return whether the zone changed.

    None leaves a value as it is. Another zone makes every day of the community due, and deletes the rows of
    days that have not ended in it. The caller commits. Raises
    `ConfigError` for a zone that `zones.canonical` refuses.
    """
    timezone = None if timezone is None else zones.canonical(connection, timezone)
    locks.lock_time_zones(connection)
    before = connection.scalar(_SELECT_TIME_ZONE, {"community_id": community_id})
    connection.execute(_UPSERT_COMMUNITY, {"community_id": community_id, "timezone": timezone, "name": name})
    changed = before is not None and timezone not in {None, before}
    if changed:
        connection.execute(_MARK_ALL_DAYS, {"community_id": community_id, "first": date.min})
        for statement in _DELETE_UNENDED_DAYS:
            connection.execute(statement, {"community_id": community_id})
    return changed


def require(connection: Connection, community_id: str) -> None:
    """Raise `ConfigError` if the community does not exist."""
    known = list(connection.scalars(_SELECT_COMMUNITY_IDS))
    if community_id not in known:
        near = get_close_matches(community_id, known, n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}?" if near else "see `participation communities list`"
        raise ConfigError(f"unknown community {quoted(community_id)}: {advice}")


def list_communities(connection: Connection) -> list[Community]:
    """Return all communities in the order of their ids."""
    return [Community(*row) for row in connection.execute(_SELECT_COMMUNITIES)]
