"""⑥ The digest of a day: the figures of the community, the usual figures, and the row of every member.

`summary` chooses the part that is shown to people. The JSON format contains all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import count, islice

from sqlalchemy import Connection

from participation.highlights import rules
from participation.store.communities import shown_names
from participation.store.days import calendar, digests, exclusions
from participation.store.days.digests import ChannelDay, MemberDay, UsualDay
from participation.store.days.exclusions import Excluded


@dataclass(frozen=True, slots=True)
class NamedMember:
    """A member without figures. name: what the member is called, None if that is not known."""

    member_id: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Digest:
    """A community's local day. `computed_at` is None for a day on which nothing was counted.

    Names are those that people are shown (`shown_names`), None if no name is known.
    """

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
    usual: UsualDay | None
    members: list[MemberDay]
    gone_quiet: list[NamedMember]
    channels: list[ChannelDay]


def read_digest(connection: Connection, community_id: str, day: date) -> Digest:
    """Return the digest of a day. The community must exist; the figures are 0 if the day is not computed."""
    row = digests.community_day(connection, community_id, day)
    excluded = exclusions.of_community(connection, community_id)
    skipped = calendar.skipped_dates(connection, community_id, day)
    found = digests.members_of_day(
        connection, community_id, day, skipped, returned_after_days=rules.RETURNED_AFTER_DAYS
    )
    members = [each for each in found if each.member_id not in excluded.persons]
    gone = digests.gone_quiet(connection, community_id, day, skipped, active_days=rules.QUIET_ACTIVE_DAYS)
    quiet = [each for each in gone if each not in excluded.persons]
    names = shown_names.of_members(connection, community_id, [*(each.member_id for each in members), *quiet])
    return Digest(
        community_id=community_id,
        name=shown_names.of_communities(connection, [community_id]).get(community_id),
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
        usual=digests.usual_day(connection, community_id, _same_weekdays(day, skipped)),
        members=[replace(each, name=names.get(each.member_id)) for each in members],
        gone_quiet=[NamedMember(member_id, names.get(member_id)) for member_id in quiet],
        channels=_channels(connection, community_id, day, excluded),
    )


def _channels(connection: Connection, community_id: str, day: date, excluded: Excluded) -> list[ChannelDay]:
    found = digests.channels_of_day(connection, community_id, day)
    shown = [each for each in found if not excluded.hides_channel(each.platform, each.channel_id)]
    names = shown_names.of_channels(connection, community_id, [(each.platform, each.channel_id) for each in shown])
    return [replace(each, name=names.get((each.platform, each.channel_id))) for each in shown]


def _same_weekdays(day: date, skipped: Sequence[date]) -> list[date]:
    """Return the same weekday of the weeks before, without a date that was skipped."""
    earlier = (day - timedelta(weeks=week) for week in count(1))
    return list(islice((each for each in earlier if each not in skipped), rules.USUAL_WEEKS))
