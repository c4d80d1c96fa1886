"""⑥ The digest of a day: what was counted, beside what is usual, and whom to look at."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from participation.store import digests


@dataclass(frozen=True, slots=True)
class Usual:
    """The medians of the same weekday in the four weeks before, from as many `weeks` as hold a computed day."""

    weeks: int
    active_members: float
    message_count: float
    reaction_count: float
    voice_minutes: float


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
    active_members: int
    message_count: int
    reaction_count: int
    voice_minutes: int
    members_joined: int
    members_left: int
    peak_hour: int | None
    usual: Usual | None
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
        active_members=row.active_members or 0,
        message_count=row.message_count or 0,
        reaction_count=row.reaction_count or 0,
        voice_minutes=row.voice_minutes or 0,
        members_joined=row.members_joined or 0,
        members_left=row.members_left or 0,
        peak_hour=row.peak_hour,
        usual=Usual(**usual._mapping) if usual.weeks else None,
        members=[Member(**member._mapping) for member in digests.members_of_day(connection, community_id, day)],
        gone_quiet=digests.gone_quiet(connection, community_id, day),
    )
