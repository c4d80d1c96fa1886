"""Reading computed days. What is derived from other days (streaks, newcomers, …) is derived here, never stored."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, text

from participation.store.highlights import ACTIVE

_COMMUNITY = text("""
SELECT c.name, c.timezone, h.active_members, h.message_count, h.reaction_count, h.voice_minutes,
    h.members_joined, h.members_left, h.peak_hour, h.computed_at
FROM communities AS c
LEFT JOIN community_daily_highlights AS h ON h.community_id = c.community_id AND h.highlight_date = :day
WHERE c.community_id = :community_id
""")

_USUAL = text("""
SELECT
    count(*) AS weeks,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY active_members) AS active_members,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY message_count) AS message_count,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY reaction_count) AS reaction_count,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY voice_minutes) AS voice_minutes
FROM community_daily_highlights
WHERE community_id = :community_id
    AND highlight_date = ANY (ARRAY[CAST(:day AS date) - 7, :day - 14, :day - 21, :day - 28])
""")

# A run of days that ends on the day: counted backwards, each is as many days before it as its number says.
_MEMBERS = text(f"""
WITH active AS (
    SELECT member_id, highlight_date,
        CAST(row_number() OVER (PARTITION BY member_id ORDER BY highlight_date DESC) AS integer) AS number
    FROM member_daily_highlights
    WHERE community_id = :community_id AND highlight_date <= :day AND {ACTIVE}
), story AS (
    SELECT member_id,
        count(*) FILTER (WHERE highlight_date + number = CAST(:day AS date) + 1) AS streak_days,
        max(highlight_date) FILTER (WHERE highlight_date < :day) AS active_before
    FROM active GROUP BY member_id HAVING max(highlight_date) = :day
)
SELECT m.member_id, message_count, reaction_count, reactions_received, voice_minutes, active_hours,
    reputation_earned,
    coalesce(streak_days, 0) AS streak_days,
    streak_days IS NOT NULL AND active_before IS NULL AS newcomer,
    coalesce(CAST(:day AS date) - active_before >= 14, false) AS returned
FROM member_daily_highlights AS m LEFT JOIN story USING (member_id)
WHERE m.community_id = :community_id AND m.highlight_date = :day
ORDER BY reputation_earned DESC, message_count DESC, member_id
""")

_QUIET = text(f"""
SELECT member_id
FROM member_daily_highlights
WHERE community_id = :community_id AND {ACTIVE}
    AND highlight_date BETWEEN CAST(:day AS date) - 13 AND :day
GROUP BY member_id
HAVING max(highlight_date) <= CAST(:day AS date) - 7 AND count(*) >= 3
ORDER BY count(*) DESC, member_id
""")

_BEST = text("""
SELECT highlight_date FROM community_daily_highlights
WHERE community_id = :community_id
ORDER BY active_members DESC, message_count DESC, highlight_date LIMIT 1
""")

_DAYS = text("""
SELECT highlight_date FROM community_daily_highlights
WHERE community_id = :community_id AND highlight_date BETWEEN :first AND :last ORDER BY highlight_date
""")


def community_day(connection: Connection, community_id: str, day: date) -> Row[Any]:
    """Return the community's name, zone and computed row; the row's columns are None if there is none."""
    return connection.execute(_COMMUNITY, {"community_id": community_id, "day": day}).one()


def usual_day(connection: Connection, community_id: str, day: date) -> Row[Any]:
    """Return the medians of the same weekday in the four weeks before, and from how many `weeks` they are."""
    return connection.execute(_USUAL, {"community_id": community_id, "day": day}).one()


def members_of_day(connection: Connection, community_id: str, day: date) -> Sequence[Row[Any]]:
    """Return the members' rows, the highest reputation first.

    streak_days: consecutive active days up to this one. newcomer: never active before. returned: the active day
    before was at least 14 days ago.
    """
    return connection.execute(_MEMBERS, {"community_id": community_id, "day": day}).all()


def gone_quiet(connection: Connection, community_id: str, day: date) -> list[str]:
    """Return members active on at least 3 of the 7 days before the last 7, and on none of the last 7."""
    return list(connection.scalars(_QUIET, {"community_id": community_id, "day": day}))


def best_day(connection: Connection, community_id: str) -> date | None:
    """Return the computed day with the most active members, None if there is none."""
    return connection.execute(_BEST, {"community_id": community_id}).scalar_one_or_none()


def computed_days(connection: Connection, community_id: str, first: date, last: date) -> list[date]:
    """Return the days from `first` to `last` that hold a row."""
    return list(connection.scalars(_DAYS, {"community_id": community_id, "first": first, "last": last}))
