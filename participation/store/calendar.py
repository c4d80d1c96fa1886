"""Which local days an event touches, and the lock that keeps the answer true until it is written down."""

from typing import Final

from sqlalchemy import Connection, text

LOCK: Final = 7_420_002
"""Advisory lock: shared by whoever turns moments into local days, exclusive for whoever changes a time zone."""

VOICE_REACH: Final = "interval '12 hours'"
"""Longest interval in voice that is credited (fixed)."""

# An interval that a voice event bounds reaches at most twelve hours from it, and no local day fits in between. No zone
# has changed its clock within a minute since 2000, so one look at each minute answers for all events in it.
TOUCHED_DAYS: Final = f"""
SELECT DISTINCT
    community_id,
    CAST((minute + reach.span) AT TIME ZONE timezone AS date) AS highlight_date
FROM (
    SELECT DISTINCT
        community_id, date_trunc('minute', occurred_at) AS minute, event_type LIKE 'VOICE%' AS is_voice
    FROM {{source}} WHERE actor_kind = 'user'
) AS minutes JOIN communities USING (community_id)
CROSS JOIN (VALUES (interval '0'), ({VOICE_REACH}), (- {VOICE_REACH})) AS reach (span)
WHERE is_voice OR reach.span = interval '0'
"""
"""Query of the days on which rows of `source` count: community_id, highlight_date."""

# From one day's events to the first event of a later day: a short look into the key a day, however many events.
# Each look starts before midnight, because a clock may show midnight twice.
EVENT_DAYS: Final = """
WITH RECURSIVE event_days (community_id, timezone, highlight_date) AS (
    SELECT community_id, timezone, (
        SELECT CAST(min(occurred_at) AT TIME ZONE timezone AS date)
        FROM participation_events AS e
        WHERE e.community_id = c.community_id
            AND occurred_at >= CAST(greatest(CAST(:first AS date), '2000-01-01') AS timestamp) - interval '1 day'
            AND CAST(occurred_at AT TIME ZONE timezone AS date) >= :first
    )
    FROM communities AS c WHERE community_id = :community_id
    UNION ALL
    SELECT community_id, timezone, (
        SELECT CAST(min(occurred_at) AT TIME ZONE timezone AS date)
        FROM participation_events AS e
        WHERE e.community_id = d.community_id
            AND occurred_at >= CAST(highlight_date + 1 AS timestamp) AT TIME ZONE timezone - interval '3 hours'
            AND CAST(occurred_at AT TIME ZONE timezone AS date) > highlight_date
    )
    FROM event_days AS d WHERE highlight_date IS NOT NULL
)
SELECT community_id, highlight_date FROM event_days WHERE highlight_date IS NOT NULL
"""
"""Query of the local days, from `first` on, on which a community has events: community_id, highlight_date."""


def share(connection: Connection) -> None:
    """Hold the time zones as they are until this transaction ends; others may do the same."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": LOCK})


def change(connection: Connection) -> None:
    """Wait until nobody is turning moments into days, and keep them waiting until this transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
