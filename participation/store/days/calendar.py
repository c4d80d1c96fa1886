"""Parts of queries that find the local days of events, and dates that a time zone skipped.

The caller holds `locks.share_time_zones` when it marks days.
"""

from datetime import date
from typing import Final

from sqlalchemy import Connection, text

from participation.store.days import parts

VOICE_REACH: Final = "interval '12 hours'"
"""Longest interval in voice that counts (fixed)."""

# A voice interval reaches at most twelve hours from each of its events, and no whole local day fits into that
# time. Since 2000, no zone has changed its clock within a minute, so all events of one minute count on the same days.
TOUCHED_DAYS: Final = f"""
SELECT DISTINCT
    c.community_id,
    CAST((minute + reach.span) AT TIME ZONE timezone AS date) AS highlight_date
FROM (
    SELECT DISTINCT
        community_id, date_trunc('minute', occurred_at) AS minute, event_type LIKE 'VOICE%' AS is_voice
    FROM {{source}} WHERE actor_kind = 'user'
) AS minutes {parts.JOIN_COMMUNITY.format(source="minutes")}
CROSS JOIN (VALUES (interval '0'), ({VOICE_REACH}), (- {VOICE_REACH})) AS reach (span)
WHERE is_voice OR reach.span = interval '0'
"""
"""Query of the days on which rows of `source` count, and of the communities: community_id, highlight_date."""

_FIRST_DAY: Final = """(
        SELECT CAST(min(first_at) AT TIME ZONE timezone AS date)
        FROM unnest(CAST(:parts AS text[])) AS given (part_id)
        CROSS JOIN LATERAL (
            SELECT min(occurred_at) AS first_at FROM participation_events AS e
            WHERE e.community_id = part_id
                AND occurred_at >= {since} AND CAST(occurred_at AT TIME ZONE timezone AS date) {condition}
        ) AS found
    )"""
"""SQL of the first day that meets a condition. since: a time before all events that meet it, for the index."""

_FIRST: Final = _FIRST_DAY.format(
    since="CAST(greatest(CAST(:first AS date), '2000-01-01') AS timestamp) AT TIME ZONE 'UTC' - interval '1 day'",
    condition=">= :first",
)
_NEXT: Final = _FIRST_DAY.format(
    since="CAST(highlight_date + 1 AS timestamp) AT TIME ZONE timezone - interval '3 hours'",
    condition="> highlight_date",
)

# Goes from the events of one day to the first event of a later day, with one short index scan for each day and part.
# Each scan starts before midnight, because a clock may show midnight twice.
EVENT_DAYS: Final = f"""
WITH RECURSIVE event_days (community_id, timezone, highlight_date) AS (
    SELECT community_id, timezone, {_FIRST} FROM communities AS c WHERE community_id = :community_id
    UNION ALL
    SELECT community_id, timezone, {_NEXT} FROM event_days AS d WHERE highlight_date IS NOT NULL
)
SELECT community_id, highlight_date FROM event_days WHERE highlight_date IS NOT NULL
"""
"""Query of the local days of a community, from `first` on, on which `parts` have events: community_id, highlight_date.
"""

# The clock passes over a skipped date in one step, so its midnight and the midnight after it are the same moment.
_SELECT_SKIPPED_DATES = text("""
SELECT CAST(midnight AS date)
FROM communities AS c
CROSS JOIN LATERAL generate_series(
    (SELECT CAST(min(highlight_date) AS timestamp) FROM community_daily_highlights AS h
        WHERE h.community_id = c.community_id),
    CAST(CAST(:last AS date) AS timestamp), interval '1 day'
) AS series (midnight)
WHERE community_id = :community_id
    AND midnight AT TIME ZONE timezone >= (midnight + interval '1 day') AT TIME ZONE timezone
ORDER BY midnight
""")


def skipped_dates(connection: Connection, community_id: str, last: date) -> list[date]:
    """Return the dates that the community's zone skipped, from its first computed day to `last`."""
    return list(connection.scalars(_SELECT_SKIPPED_DATES, {"community_id": community_id, "last": last}))


def counted(day: str) -> str:
    """Return SQL that moves a date back by one for each skipped date before it, so that differences count days.

    day: SQL of a date. The query has the parameter `skipped`, from `skipped_dates`.
    """
    return f"({day} - width_bucket({day}, CAST(:skipped AS date[])))"
