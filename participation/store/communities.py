"""Communities: their names and time zones. A community appears with its first event."""

from collections.abc import Iterable, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from participation.errors import ConfigError, Unavailable
from participation.store import calendar
from participation.store.database import transaction

_ZONE = text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :timezone)")
_ZONES = text("SELECT name FROM pg_timezone_names WHERE name NOT LIKE 'posix%' ORDER BY name")

_ENSURE = text("""
INSERT INTO communities (community_id) SELECT unnest(CAST(:ids AS text[])) ON CONFLICT DO NOTHING
""")

_GONE = text("""
SELECT EXISTS (
    SELECT FROM unnest(CAST(:ids AS text[])) AS given (community_id)
    WHERE NOT EXISTS (SELECT FROM communities AS c WHERE c.community_id = given.community_id)
)
""")

_IDS = text("SELECT community_id FROM communities ORDER BY community_id")

_SET = text("""
INSERT INTO communities AS c (community_id, name, timezone)
VALUES (:community_id, :name, coalesce(:timezone, 'UTC'))
ON CONFLICT (community_id) DO UPDATE
SET name = coalesce(excluded.name, c.name), timezone = coalesce(:timezone, c.timezone)
""")

_CURRENT = text("SELECT timezone FROM communities WHERE community_id = :community_id")

# The days that were computed in the old zone are due too: those that no longer hold an event disappear.
_MARK_ALL = text(f"""
INSERT INTO due_days (community_id, highlight_date)
{calendar.EVENT_DAYS}
UNION
SELECT community_id, highlight_date FROM community_daily_highlights WHERE community_id = :community_id
""")

_LIST = text("""
SELECT c.community_id, c.name, c.timezone, count(h.highlight_date) AS days, max(h.highlight_date) AS last_date
FROM communities AS c LEFT JOIN community_daily_highlights AS h USING (community_id)
GROUP BY c.community_id ORDER BY c.community_id
""")


def ensure(engine: Engine, ids: Iterable[str]) -> None:
    """Make the communities that are not there yet.

    Runs in a transaction of its own, before the one that inserts events: batches of a new community would wait for
    each other. A repeat is safe.
    """
    with transaction(engine) as connection:
        connection.execute(_ENSURE, {"ids": sorted(ids)})


def hold(connection: Connection, ids: Iterable[str]) -> None:
    """Raise `Unavailable` if one of the communities was deleted since `ensure`; the caller shares the calendar."""
    if connection.scalar(_GONE, {"ids": list(ids)}):
        raise Unavailable("a community was deleted while its events were on their way: try again")


def configure(connection: Connection, community_id: str, timezone: str | None, name: str | None) -> bool:
    """Set the community's zone and name, making the community if need be; return whether the zone changed.

    Another zone makes every day of the community due. The caller commits. Raises `ConfigError` for a zone that
    PostgreSQL does not know.
    """
    if timezone is not None and not connection.scalar(_ZONE, {"timezone": timezone}):
        raise ConfigError(_unknown("time zone", timezone, list(connection.scalars(_ZONES))))
    calendar.change(connection)
    before = connection.scalar(_CURRENT, {"community_id": community_id})
    connection.execute(_SET, {"community_id": community_id, "timezone": timezone, "name": name})
    changed = before is not None and timezone not in {None, before}
    if changed:
        connection.execute(_MARK_ALL, {"community_id": community_id, "first": date.min})
    return changed


def require(connection: Connection, community_id: str) -> None:
    """Raise `ConfigError` unless the community is known."""
    known = list(connection.scalars(_IDS))
    if community_id not in known:
        raise ConfigError(_unknown("community", community_id, known))


def overview(connection: Connection) -> Sequence[Row[Any]]:
    """Return for each community: community_id, name, timezone, days computed, last_date computed."""
    return connection.execute(_LIST).all()


def _unknown(what: str, given: str, known: list[str]) -> str:
    near = get_close_matches(given, known, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else "see `participation communities list`"
    if what == "time zone" and not near:
        advice = "take an IANA name, as Europe/Berlin"
    return f"unknown {what} {given!r}: {advice}"
