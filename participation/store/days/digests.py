"""Reads computed days. Figures that depend on other days (streaks, newcomers, …) are calculated, not stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, text

from participation.store.days.calendar import counted
from participation.store.days.day_query import IS_ACTIVE

_DAY: Final = "CAST(:day AS date)"

_SELECT_COMMUNITY_DAY = text("""
SELECT c.name, c.timezone, h.active_members, h.message_count, h.reaction_count, h.voice_minutes,
    h.members_joined, h.members_left, h.peak_hour, h.computed_at
FROM communities AS c
LEFT JOIN community_daily_highlights AS h ON h.community_id = c.community_id AND h.highlight_date = :day
WHERE c.community_id = :community_id
""")

_SELECT_USUAL_DAY = text("""
SELECT
    count(*) AS weeks,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY active_members) AS active_members,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY message_count) AS message_count,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY reaction_count) AS reaction_count,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY voice_minutes) AS voice_minutes
FROM community_daily_highlights
WHERE community_id = :community_id
    AND highlight_date = ANY (CAST(:days AS date[]))
""")

# `number` counts a member's active days backwards. In a streak that ends on the day, each active day is exactly that
# many days back.
_SELECT_MEMBER_DAYS = text(f"""
WITH active AS (
    SELECT member_id, highlight_date, {counted("highlight_date")} AS counted,
        CAST(row_number() OVER (PARTITION BY member_id ORDER BY highlight_date DESC) AS integer) AS number
    FROM member_daily_highlights
    WHERE community_id = :community_id AND highlight_date <= :day AND {IS_ACTIVE}
), story AS (
    SELECT member_id,
        count(*) FILTER (WHERE counted + number = {counted(_DAY)} + 1) AS streak_days,
        max(counted) FILTER (WHERE highlight_date < :day) AS active_before
    FROM active GROUP BY member_id HAVING max(highlight_date) = :day
)
SELECT m.member_id, message_count, reaction_count, reactions_received, voice_minutes, active_hours,
    reputation_earned, voice_minutes_together,
    coalesce(streak_days, 0) AS streak_days,
    streak_days IS NOT NULL AND active_before IS NULL AS newcomer,
    coalesce({counted(_DAY)} - active_before >= :returned_after_days, false) AS returned
FROM member_daily_highlights AS m LEFT JOIN story USING (member_id)
WHERE m.community_id = :community_id AND m.highlight_date = :day
ORDER BY reputation_earned DESC, message_count DESC, member_id
""")

_SELECT_GONE_QUIET = text(f"""
SELECT member_id
FROM member_daily_highlights
WHERE community_id = :community_id AND {IS_ACTIVE}
    AND highlight_date BETWEEN {_DAY} - 13 - cardinality(CAST(:skipped AS date[])) AND :day
    AND {counted("highlight_date")} >= {counted(_DAY)} - 13
GROUP BY member_id
HAVING max({counted("highlight_date")}) <= {counted(_DAY)} - 7 AND count(*) >= :active_days
ORDER BY count(*) DESC, member_id
""")

_SELECT_CHANNEL_DAYS = text("""
SELECT platform, channel_id, active_members, message_count, reaction_count, voice_minutes
FROM channel_daily_highlights WHERE community_id = :community_id AND highlight_date = :day
ORDER BY active_members DESC, message_count DESC, reaction_count DESC, platform, channel_id
""")

_SELECT_BEST_DAY = text("""
SELECT highlight_date FROM community_daily_highlights
WHERE community_id = :community_id
ORDER BY active_members DESC, message_count DESC, highlight_date LIMIT 1
""")

_SELECT_COMPUTED_DAYS = text("""
SELECT highlight_date FROM community_daily_highlights
WHERE community_id = :community_id AND highlight_date BETWEEN :first AND :last ORDER BY highlight_date
""")

# A day that was computed before it ended, or in another zone, is left out.
_SELECT_LAST_ENDED_DAY = text("""
SELECT max(highlight_date) FROM community_daily_highlights JOIN communities USING (community_id)
WHERE community_id = :community_id AND highlight_date < CAST(now() AT TIME ZONE timezone AS date)
""")


@dataclass(frozen=True, slots=True)
class CommunityDay:
    """A community's name, zone and computed row. If the day has no row, its fields are None."""

    name: str | None
    timezone: str
    active_members: int | None
    message_count: int | None
    reaction_count: int | None
    voice_minutes: int | None
    members_joined: int | None
    members_left: int | None
    peak_hour: int | None
    computed_at: datetime | None


@dataclass(frozen=True, slots=True)
class UsualDay:
    """The medians of several days. weeks: how many of those days have a computed row."""

    weeks: int
    active_members: float
    message_count: float
    reaction_count: float
    voice_minutes: float


@dataclass(frozen=True, slots=True)
class MemberDay:
    """A member's row of the day, and figures that depend on other days.

    streak_days: number of consecutive active days that end on this one. newcomer: was never active before. returned:
    was not active for some time before. voice_minutes_together: without time alone or deafened by oneself, or None if
    all voice minutes count. name: what the member is called, which is read separately.
    """

    member_id: str
    name: str | None = field(default=None, kw_only=True)
    message_count: int
    reaction_count: int
    reactions_received: int
    voice_minutes: int
    active_hours: int
    reputation_earned: int
    voice_minutes_together: int | None
    streak_days: int
    newcomer: bool
    returned: bool


@dataclass(frozen=True, slots=True)
class ChannelDay:
    """A channel's row of the day. name: what the channel is called, which is read separately."""

    platform: str
    channel_id: str
    active_members: int
    message_count: int
    reaction_count: int
    voice_minutes: int
    name: str | None = None


def channels_of_day(connection: Connection, community_id: str, day: date) -> list[ChannelDay]:
    """Return the channels in which somebody was active, the one with the most active members first."""
    return [
        ChannelDay(*row) for row in connection.execute(_SELECT_CHANNEL_DAYS, {"community_id": community_id, "day": day})
    ]


def community_day(connection: Connection, community_id: str, day: date) -> CommunityDay:
    """Return the day. The community must exist."""
    return CommunityDay(*connection.execute(_SELECT_COMMUNITY_DAY, {"community_id": community_id, "day": day}).one())


def usual_day(connection: Connection, community_id: str, days: list[date]) -> UsualDay | None:
    """Return the medians of these days, without days that are not computed; None if none is computed."""
    row = connection.execute(_SELECT_USUAL_DAY, {"community_id": community_id, "days": days}).one()
    return UsualDay(*row) if row.weeks else None


def members_of_day(
    connection: Connection, community_id: str, day: date, skipped: Sequence[date], *, returned_after_days: int
) -> list[MemberDay]:
    """Return the members' rows, the highest reputation first.

    skipped: dates that are no days, from `calendar.skipped_dates`. returned_after_days: a member returned if the
    previous active day was at least this many days earlier.
    """
    values = {**_key(community_id, day, skipped), "returned_after_days": returned_after_days}
    return [MemberDay(*row) for row in connection.execute(_SELECT_MEMBER_DAYS, values)]


def gone_quiet(
    connection: Connection, community_id: str, day: date, skipped: Sequence[date], *, active_days: int
) -> list[str]:
    """Return members who were active on this many of the 7 days before the last 7, and on none of the last 7.

    skipped: as in `members_of_day`.
    """
    values = {**_key(community_id, day, skipped), "active_days": active_days}
    return list(connection.scalars(_SELECT_GONE_QUIET, values))


def best_day(connection: Connection, community_id: str) -> date | None:
    """Return the computed day with the most active members, or None if no day is computed."""
    return connection.execute(_SELECT_BEST_DAY, {"community_id": community_id}).scalar_one_or_none()


def computed_days(connection: Connection, community_id: str, first: date, last: date) -> list[date]:
    """Return the computed days from `first` to `last`."""
    span = {"community_id": community_id, "first": first, "last": last}
    return list(connection.scalars(_SELECT_COMPUTED_DAYS, span))


def last_ended_day(connection: Connection, community_id: str) -> date | None:
    """Return the last computed day that has ended in the community's zone, or None if there is none."""
    return connection.execute(_SELECT_LAST_ENDED_DAY, {"community_id": community_id}).scalar_one_or_none()


def _key(community_id: str, day: date, skipped: Sequence[date]) -> dict[str, object]:
    return {"community_id": community_id, "day": day, "skipped": list(skipped)}
