"""⑥ The digest of a day: what was counted, beside what is usual, and whom to look at."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from participation.store import digests


@dataclass(frozen=True, slots=True)
class Figure:
    """A community's count on the day and the median of the same weekday in the four weeks before, if any."""

    value: int
    usual: float | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member's row of the day and what follows from the days before; see `store.digests.members_of_day`."""

    member_id: str
    message_count: int
    reaction_count: int
    reactions_received: int
    voice_minutes: int
    active_hours: int
    reputation_earned: int
    streak_days: int
    newcomer: bool
    returned: bool


@dataclass(frozen=True, slots=True)
class Digest:
    """A community's local day, as it is rendered. `computed_at` is None for a day on which nothing was counted."""

    community_id: str
    name: str | None
    timezone: str
    highlight_date: date
    computed_at: datetime | None
    active_members: Figure
    message_count: Figure
    reaction_count: Figure
    voice_minutes: Figure
    members_joined: int
    members_left: int
    peak_hour: int | None
    members: list[Member]
    gone_quiet: list[str]


def read(connection: Connection, community_id: str, day: date) -> Digest:
    """Read the digest of a computed day of a known community."""
    row = digests.community_day(connection, community_id, day)
    usual = digests.usual_day(connection, community_id, day)
    return Digest(
        community_id=community_id,
        name=row.name,
        timezone=row.timezone,
        highlight_date=day,
        computed_at=row.computed_at,
        active_members=Figure(row.active_members or 0, usual.active_members),
        message_count=Figure(row.message_count or 0, usual.message_count),
        reaction_count=Figure(row.reaction_count or 0, usual.reaction_count),
        voice_minutes=Figure(row.voice_minutes or 0, usual.voice_minutes),
        members_joined=row.members_joined or 0,
        members_left=row.members_left or 0,
        peak_hour=row.peak_hour,
        members=[Member(**member._mapping) for member in digests.members_of_day(connection, community_id, day)],
        gone_quiet=digests.gone_quiet(connection, community_id, day),
    )
