"""⑥ Chooses what a digest shows: figures, members and rankings. The renderers only lay it out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from participation.highlights import rules
from participation.highlights.digest import Digest, NamedMember
from participation.store.days.digests import MemberDay

TOP: Final = 3
"""How many members a ranking names."""

FIGURES: Final = ("active_members", "message_count", "reaction_count", "voice_minutes")
"""The figures that are compared with a usual day."""

RANKINGS: Final = ("message_count", "reactions_received", "voice_minutes", "reputation_earned")
"""The counts by which members are ranked."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the community. usual: the median of the same weekday in the weeks before, None if unknown."""

    name: str
    value: int
    usual: float | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a member or a channel is called, and the value that is shown for it."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What is shown of a day. rankings: by the name of the count, without members whose count is 0.

    Members, channels and the community are shown by their names, or by their ids if no name is known. channels: those
    with the most active members.
    """

    title: str
    highlight_date: date
    timezone: str
    is_counted: bool
    figures: Sequence[Figure]
    members_joined: int
    members_left: int
    peak_hour: int | None
    newcomers: Sequence[str]
    returned: Sequence[str]
    gone_quiet: Sequence[str]
    streaks: Sequence[Ranked]
    rankings: dict[str, Sequence[Ranked]]
    channels: Sequence[Ranked]


def summarize(digest: Digest) -> Summary:
    """Choose what is shown of a day."""
    members = digest.members
    return Summary(
        title=digest.name or digest.community_id,
        highlight_date=digest.highlight_date,
        timezone=digest.timezone,
        is_counted=digest.computed_at is not None,
        figures=[_figure(digest, name) for name in FIGURES],
        members_joined=digest.members_joined,
        members_left=digest.members_left,
        peak_hour=digest.peak_hour,
        newcomers=[_shown(member) for member in members if member.newcomer],
        returned=[_shown(member) for member in members if member.returned],
        gone_quiet=[_shown(member) for member in digest.gone_quiet],
        streaks=[each for each in _ranked(members, lambda m: m.streak_days) if each.value >= rules.STREAK_DAYS],
        rankings={name: _top(members, name) for name in RANKINGS},
        channels=[
            Ranked(each.name or f"{each.platform}:{each.channel_id}", each.active_members)
            for each in digest.channels[:TOP]
        ],
    )


def _figure(digest: Digest, name: str) -> Figure:
    return Figure(name, getattr(digest, name), None if digest.usual is None else getattr(digest.usual, name))


def _top(members: Iterable[MemberDay], name: str) -> list[Ranked]:
    return [each for each in _ranked(members, lambda member: _value(member, name))[:TOP] if each.value]


def _value(member: MemberDay, name: str) -> int:
    if name == "voice_minutes" and member.voice_minutes_together is not None:
        return member.voice_minutes_together
    return int(getattr(member, name))


def _ranked(members: Iterable[MemberDay], value: Callable[[MemberDay], int]) -> list[Ranked]:
    """Return all members, the highest value first; equal values in the order of their ids."""
    ordered = sorted(members, key=lambda member: (-value(member), member.member_id))
    return [Ranked(_shown(member), value(member)) for member in ordered]


def _shown(member: MemberDay | NamedMember) -> str:
    return member.name or member.member_id
