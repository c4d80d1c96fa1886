"""Communities: their names and time zones. A community is created with its first event, or when others are grouped."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from participation.errors import ConfigError
from participation.event import quoted
from participation.store import locks
from participation.store.communities import zones
from participation.store.database import transaction
from participation.store.days import due, parts


@dataclass(frozen=True, slots=True)
class Community:
    """A community. parts: ids that are grouped into it. days: how many days are computed. last_date: the last one."""

    community_id: str
    name: str | None
    timezone: str
    parts: tuple[str, ...]
    days: int
    last_date: date | None


class SpecialCase(NamedTuple):
    """A community that does not exist, was deleted at `deleted_at`, or has options that a worker must obey.

    whole: the community that counts its events, if that one ignores channels or finds authors by messages.
    """

    community_id: str
    exists: bool
    deleted_at: datetime | None
    whole: str | None
    ignored_channels: list[str] | None
    authors_from_messages: bool


_INSERT_COMMUNITIES = text("""
INSERT INTO communities (community_id)
SELECT community_id FROM unnest(CAST(:ids AS text[]), CAST(:last AS timestamptz[])) AS given (community_id, last_at)
WHERE NOT EXISTS (
    SELECT FROM deleted_communities AS d WHERE d.community_id = given.community_id AND given.last_at < d.deleted_at
)
ORDER BY community_id
ON CONFLICT DO NOTHING
""")

# One query for all that the worker must know, because every batch runs it.
_SELECT_SPECIAL_CASES = text("""
SELECT given.community_id, c.community_id IS NOT NULL, d.deleted_at, w.community_id,
    w.settings -> 'ignored_channels', coalesce(w.settings -> 'authors_from_messages' = 'true', false)
FROM unnest(CAST(:ids AS text[])) AS given (community_id)
LEFT JOIN communities AS c USING (community_id) LEFT JOIN deleted_communities AS d USING (community_id)
LEFT JOIN community_parts AS p ON p.part_id = given.community_id
LEFT JOIN communities AS w ON w.community_id = coalesce(p.community_id, given.community_id)
    AND w.settings ?| ARRAY['ignored_channels', 'authors_from_messages']
WHERE c.community_id IS NULL OR d.community_id IS NOT NULL OR w.community_id IS NOT NULL
""")

_SELECT_COMMUNITY_IDS = text("""
SELECT community_id FROM communities UNION SELECT part_id FROM community_parts ORDER BY 1
""")

_UPSERT_COMMUNITY = text("""
INSERT INTO communities AS c (community_id, name, timezone)
VALUES (:community_id, :name, coalesce(:timezone, 'UTC'))
ON CONFLICT (community_id) DO UPDATE
SET name = coalesce(excluded.name, c.name), timezone = coalesce(:timezone, c.timezone)
""")

_SELECT_TIME_ZONE = text("SELECT timezone FROM communities WHERE community_id = :community_id")

# In the new zone these days have not ended, so their rows may be of times that are still to come. Their marks stay.
_DELETE_UNENDED_DAYS = [
    text(f"""
    DELETE FROM {table} AS h USING communities AS c
    WHERE h.community_id = :community_id AND c.community_id = h.community_id
        AND highlight_date >= CAST(now() AT TIME ZONE timezone AS date)
    """)
    for table in ("member_daily_highlights", "community_daily_highlights", "channel_daily_highlights")
]

_SELECT_COMMUNITIES = text("""
SELECT c.community_id, c.name, c.timezone, p.parts, count(h.highlight_date) AS days, max(h.highlight_date) AS last_date
FROM communities AS c
LEFT JOIN community_daily_highlights AS h USING (community_id)
LEFT JOIN (
    SELECT community_id, array_agg(part_id ORDER BY part_id) AS parts FROM community_parts GROUP BY community_id
) AS p USING (community_id)
WHERE NOT EXISTS (SELECT FROM community_parts AS own WHERE own.part_id = c.community_id)
GROUP BY c.community_id, p.parts ORDER BY c.community_id
""")


def create_missing(engine: Engine, last: Mapping[str, str]) -> None:
    """Create the communities that do not exist yet, except those that were deleted after their last event.

    last: the time of the last event of each community, as in `Row`. Runs in a transaction of its own, before the one
    that inserts events. Otherwise two batches with a new community would wait for each other. Repeating it is safe.
    """
    with transaction(engine) as connection:
        connection.execute(_INSERT_COMMUNITIES, {"ids": list(last), "last": list(last.values())})


def special_cases(connection: Connection, ids: Collection[str]) -> list[SpecialCase]:
    """Return those of the communities of which a worker must know more than the id.

    The caller holds `locks.share_time_zones`, so no community is deleted or set until its transaction ends.
    """
    return [SpecialCase(*row) for row in connection.execute(_SELECT_SPECIAL_CASES, {"ids": list(ids)})]


def configure(connection: Connection, community_id: str, timezone: str | None, name: str | None) -> bool:
    """Set the community's time zone and name, and create it if necessary; return whether the zone changed.

    None leaves a value as it is. Another zone makes every day of the community due, and deletes the rows of
    days that have not ended in it. The caller commits. Raises
    `ConfigError` for a zone that `zones.canonical` refuses, and for a part of another community.
    """
    timezone = None if timezone is None else zones.canonical(connection, timezone)
    locks.lock_time_zones(connection)
    if whole := parts.community_of(connection, community_id):
        raise ConfigError(
            f"{quoted(community_id)} is a part of {quoted(whole)}, whose settings are in force: set {quoted(whole)}"
        )
    before = connection.scalar(_SELECT_TIME_ZONE, {"community_id": community_id})
    connection.execute(_UPSERT_COMMUNITY, {"community_id": community_id, "timezone": timezone, "name": name})
    changed = before is not None and timezone not in {None, before}
    if changed:
        due.mark_all_days(connection, community_id)
        for statement in _DELETE_UNENDED_DAYS:
            connection.execute(statement, {"community_id": community_id})
    return changed


def known_ids(connection: Connection) -> list[str]:
    """Return the ids of all communities and parts."""
    return list(connection.scalars(_SELECT_COMMUNITY_IDS))


def resolve(connection: Connection, community_id: str) -> str:
    """Return the community that counts the events of this id: itself, or the one that it is a part of.

    Raises `ConfigError` if there is no such community.
    """
    known = known_ids(connection)
    if community_id not in known:
        near = get_close_matches(community_id, known, n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}?" if near else "see `participation communities list`"
        raise ConfigError(f"unknown community {quoted(community_id)}: {advice}")
    return parts.community_of(connection, community_id) or community_id


def get(connection: Connection, community_id: str) -> Community:
    """Return a community that exists and is not a part of another one."""
    return next(each for each in list_communities(connection) if each.community_id == community_id)


def list_communities(connection: Connection) -> list[Community]:
    """Return all communities in the order of their ids, without those that are parts of others."""
    return [
        Community(row.community_id, row.name, row.timezone, tuple(row.parts or ()), row.days, row.last_date)
        for row in connection.execute(_SELECT_COMMUNITIES)
    ]
