"""Finds the local days that are due: days that have ended in their time zone, and were marked since computed."""

from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from participation.store.days import calendar, parts


class Day(NamedTuple):
    """A local day of a community."""

    community_id: str
    highlight_date: date


DUE_DAYS: Final = """
SELECT DISTINCT community_id, highlight_date
FROM due_days JOIN communities USING (community_id)
WHERE highlight_date < CAST(now() AT TIME ZONE timezone AS date)
"""
"""Query of the due days: community_id, highlight_date."""

_SELECT_DUE_DAYS = text(f"""
{DUE_DAYS}
    AND community_id = coalesce(:community_id, community_id)
ORDER BY highlight_date, community_id
""")

# Also marks the days that were computed in another zone. Their rows are deleted if they have no events now.
_MARK_ALL_DAYS = text(f"""
INSERT INTO due_days (community_id, highlight_date)
{calendar.EVENT_DAYS}
UNION
SELECT community_id, highlight_date FROM community_daily_highlights WHERE community_id = :community_id
""")

_IS_DAY_MARKED = text(
    "SELECT EXISTS (SELECT FROM due_days WHERE community_id = :community_id AND highlight_date = :day)"
)

_SELECT_DAYS_BETWEEN = text(f"""
SELECT community_id, highlight_date FROM (
    {calendar.EVENT_DAYS}
    UNION
    SELECT community_id, highlight_date FROM community_daily_highlights WHERE community_id = :community_id
) AS days
WHERE highlight_date BETWEEN :first AND :last ORDER BY highlight_date
""")

# A day that was marked before it ended has been due since its local midnight.
_SELECT_OLDEST_DUE = text("""
SELECT min(greatest(marked_at, CAST(highlight_date + 1 AS timestamp) AT TIME ZONE timezone))
FROM due_days JOIN communities USING (community_id)
WHERE highlight_date < CAST(now() AT TIME ZONE timezone AS date)
""")

# Every batch inserts marks without looking for existing ones, so that no flush waits for another. Therefore all but the
# newest mark of a day are deleted here. The lock prevents a computation that has not seen the newest events from
# deleting the newest mark.
_DELETE_SURPLUS_MARKS = text("""
WITH kept AS (
    SELECT id, community_id, highlight_date FROM due_days
    WHERE id IN (SELECT max(id) FROM due_days GROUP BY community_id, highlight_date)
    FOR UPDATE SKIP LOCKED
), surplus AS (
    SELECT older.id FROM due_days AS older JOIN kept USING (community_id, highlight_date)
    WHERE older.id < kept.id
    FOR UPDATE OF older SKIP LOCKED
)
DELETE FROM due_days WHERE id IN (SELECT id FROM surplus)
""")


def list_due(connection: Connection, community_id: str | None = None) -> list[Day]:
    """Return the due days of one community, or of all, the oldest first."""
    return [Day(*row) for row in connection.execute(_SELECT_DUE_DAYS, {"community_id": community_id})]


def mark_all_days(connection: Connection, community_id: str) -> None:
    """Mark every day on which the community has events or was computed.

    The caller holds a lock of time zones, and commits.
    """
    ids = parts.parts_of(connection, community_id)
    connection.execute(_MARK_ALL_DAYS, {"community_id": community_id, "first": date.min, "parts": ids})


def is_due(connection: Connection, community_id: str, day: date) -> bool:
    """Return whether the day has events that were not computed yet, even if the day has not ended."""
    return bool(connection.scalar(_IS_DAY_MARKED, {"community_id": community_id, "day": day}))


def oldest_due_at(connection: Connection) -> datetime | None:
    """Return the time at which the longest waiting day became due, or None if no day is due."""
    oldest: datetime | None = connection.scalar(_SELECT_OLDEST_DUE)
    return oldest


def days_between(connection: Connection, community_id: str, first: date, last: date) -> list[Day]:
    """Return the community's days from `first` to `last` that have events or were computed before."""
    ids = parts.parts_of(connection, community_id)
    span = {"community_id": community_id, "first": first, "last": last, "parts": ids}
    return [Day(*row) for row in connection.execute(_SELECT_DAYS_BETWEEN, span)]


def compact_marks(connection: Connection) -> None:
    """Delete all marks of each day except the newest. The caller commits."""
    connection.execute(_DELETE_SURPLUS_MARKS)
