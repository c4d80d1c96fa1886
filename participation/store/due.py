"""Which local days are due: marked since they were last computed, and over where the community lives."""

from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from participation.store import calendar


class Day(NamedTuple):
    """A local day of a community."""

    community_id: str
    highlight_date: date


DUE: Final = """
SELECT DISTINCT community_id, highlight_date
FROM due_days JOIN communities USING (community_id)
WHERE highlight_date < CAST(now() AT TIME ZONE timezone AS date)
"""
"""Query of the days that are marked and over where their community lives."""

_DUE = text(f"""
{DUE}
    AND community_id = coalesce(:community_id, community_id)
ORDER BY highlight_date, community_id
""")

_IS_DUE = text("SELECT EXISTS (SELECT FROM due_days WHERE community_id = :community_id AND highlight_date = :day)")

_BETWEEN = text(f"""
SELECT community_id, highlight_date FROM (
    {calendar.EVENT_DAYS}
    UNION
    SELECT community_id, highlight_date FROM community_daily_highlights WHERE community_id = :community_id
) AS days
WHERE highlight_date BETWEEN :first AND :last ORDER BY highlight_date
""")

# A day that is marked before it is over waits from its local midnight on.
_OLDEST = text("""
SELECT min(greatest(marked_at, CAST(highlight_date + 1 AS timestamp) AT TIME ZONE timezone))
FROM due_days JOIN communities USING (community_id)
WHERE highlight_date < CAST(now() AT TIME ZONE timezone AS date)
""")

# Every batch adds its marks instead of looking for them, so that no flush waits for another; here they become few.
# A mark goes only if a later one stays: the lock keeps it from a computation that has not seen all that it marks.
_COMPACT = text("""
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


def due(connection: Connection, community_id: str | None = None) -> list[Day]:
    """Return the days, of one community or of all, that have closed and are marked, the oldest first."""
    return [Day(*row) for row in connection.execute(_DUE, {"community_id": community_id})]


def is_due(connection: Connection, community_id: str, day: date) -> bool:
    """Whether events of the day wait to be counted, also if the day has not closed yet."""
    return bool(connection.scalar(_IS_DUE, {"community_id": community_id, "day": day}))


def oldest_at(connection: Connection) -> datetime | None:
    """Return since when the day that waits longest has been over and marked, None if no day is due."""
    oldest: datetime | None = connection.scalar(_OLDEST)
    return oldest


def between(connection: Connection, community_id: str, first: date, last: date) -> list[Day]:
    """Return the community's days from `first` to `last` that hold events or were computed before."""
    span = {"community_id": community_id, "first": first, "last": last}
    return [Day(*row) for row in connection.execute(_BETWEEN, span)]


def compact(connection: Connection) -> None:
    """Leave one mark, the newest, of each day. The caller commits."""
    connection.execute(_COMPACT)
