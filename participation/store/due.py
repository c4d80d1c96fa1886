"""Which local days are due: marked since they were last computed, and over where the community lives."""

from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, text


class Day(NamedTuple):
    """A local day of a community."""

    community_id: str
    highlight_date: date


_DUE = text("""
SELECT DISTINCT community_id, highlight_date
FROM due_days JOIN communities USING (community_id)
WHERE highlight_date < CAST(now() AT TIME ZONE timezone AS date)
ORDER BY highlight_date, community_id
""")

# Every batch adds its marks instead of looking for them, so that no flush waits for another; here they become few.
_COMPACT = text("""
DELETE FROM due_days AS older USING due_days AS newer
WHERE older.community_id = newer.community_id AND older.highlight_date = newer.highlight_date AND older.id < newer.id
""")


def due(connection: Connection) -> list[Day]:
    """Return the days that have closed and are marked, the oldest first."""
    return [Day(*row) for row in connection.execute(_DUE)]


def compact(connection: Connection) -> None:
    """Leave one mark, the newest, of each day. The caller commits."""
    connection.execute(_COMPACT)
