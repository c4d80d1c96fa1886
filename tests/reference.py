"""The oracle: a day's highlights straight from the text of the design's "Highlights", slow and obvious.

Takes rows of `participation_events` in any order, gives what the highlights tables must hold. It shares no
code with the package, so that one mistake cannot hide in both.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Account = tuple[str, str]
Interval = tuple[datetime, datetime]

MINUTE = timedelta(minutes=1)
VOICE_GAP = timedelta(hours=12)

AT_EQUAL_TIMES = {"VOICE_LEFT": 0, "VOICE_PRESENT": 1, "VOICE_JOINED": 2}
BEGINS = {"VOICE_JOINED", "VOICE_PRESENT"}
ENDS = {"VOICE_PRESENT", "VOICE_LEFT"}


@dataclass(frozen=True)
class MemberRow:
    """What `member_daily_highlights` must hold for one person."""

    message_count: int
    reaction_count: int
    reactions_received: int
    voice_minutes: int
    active_hours: int
    reputation_earned: int


@dataclass(frozen=True)
class CommunityRow:
    """What `community_daily_highlights` must hold."""

    active_members: int
    message_count: int
    reaction_count: int
    voice_minutes: int
    members_joined: int
    members_left: int
    peak_hour: int | None


@dataclass(frozen=True)
class Story:
    """What the days of one member up to one day tell."""

    streak_days: int
    newcomer: bool
    returned: bool
    gone_quiet: bool


@dataclass(frozen=True)
class Reaction:
    """A reaction that counts."""

    reactor: Account
    author: Account | None
    at: datetime


@dataclass
class Tally:
    """What one person has done so far while the day is being counted."""

    messages: int = 0
    reactions: int = 0
    received: int = 0
    voice: timedelta = timedelta()
    hours: set[int] = field(default_factory=set)

    def row(self) -> MemberRow:
        minutes = self.voice // MINUTE
        reputation = (
            min(self.messages, 50) + min(self.reactions, 20) + 2 * min(self.received, 50) + min(minutes, 120) // 5
        )
        return MemberRow(self.messages, self.reactions, self.received, minutes, len(self.hours), reputation)


@dataclass
class Count:
    """A local day while it is being counted."""

    day: date
    zone: ZoneInfo
    persons: Mapping[Account, str]
    others: Collection[Account]
    """Accounts that are something else than a user."""
    tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    busy: Counter[int] = field(default_factory=Counter)

    def includes(self, at: datetime) -> bool:
        return at.astimezone(self.zone).date() == self.day

    def person(self, account: Account) -> str:
        return self.persons.get(account, f"{account[0]}:{account[1]}")

    def acted(self, account: Account, at: datetime) -> Tally:
        hour = at.astimezone(self.zone).hour
        self.busy[hour] += 1
        tally = self.tallies[self.person(account)]
        tally.hours.add(hour)
        return tally

    def messages(self, today: Iterable[Row]) -> None:
        for event in of_type(today, "MESSAGE_SENT"):
            self.acted(account(event), moment(event)).messages += 1

    def reactions(self, today: Iterable[Row]) -> None:
        for reaction in standing_reactions(today):
            self.acted(reaction.reactor, reaction.at).reactions += 1
            author = None if reaction.author in self.others else reaction.author
            if author and self.person(author) != self.person(reaction.reactor):
                self.tallies[self.person(author)].received += 1

    def voice(self, events: Iterable[Row]) -> None:
        stays: defaultdict[str, list[Interval]] = defaultdict(list)
        for who, stay in in_voice(events):
            stays[self.person(who)].append(stay)
        for person, intervals in stays.items():
            for start, end in minute_by_minute(united(intervals)):
                if self.includes(start):
                    self.tallies[person].voice += end - start
                    self.tallies[person].hours.add(start.astimezone(self.zone).hour)

    def members(self) -> dict[str, MemberRow]:
        rows = {person: tally.row() for person, tally in self.tallies.items()}
        return {person: row for person, row in rows.items() if is_active(row) or row.reactions_received > 0}

    def community(self, today: Iterable[Row]) -> CommunityRow:
        rows = self.members().values()
        return CommunityRow(
            active_members=sum(is_active(row) for row in rows),
            message_count=sum(row.message_count for row in rows),
            reaction_count=sum(row.reaction_count for row in rows),
            voice_minutes=sum(row.voice_minutes for row in rows),
            members_joined=len({self.person(account(e)) for e in of_type(today, "MEMBER_JOINED")}),
            members_left=len({self.person(account(e)) for e in of_type(today, "MEMBER_LEFT")}),
            peak_hour=min(self.busy, key=lambda hour: (-self.busy[hour], hour), default=None),
        )


def highlights(
    events: Iterable[Row],
    community_id: str,
    day: date,
    timezone: str,
    persons: Mapping[Account, str],
    *,
    others: Collection[Account] = (),
) -> tuple[dict[str, MemberRow], CommunityRow | None]:
    """Compute a local day: its members' rows by person, and the community's, None if nobody did anything.

    others: accounts that other events than these show to be something else than a user.
    """
    here = [e for e in events if e["community_id"] == community_id]
    known = {*others, *(account(e) for e in here if e["actor_kind"] != "user")}
    count = Count(day, ZoneInfo(timezone), persons, known)
    counted = [e for e in here if e["actor_kind"] == "user"]
    today = [e for e in counted if count.includes(moment(e))]
    count.messages(today)
    count.reactions(today)
    count.voice(counted)
    return count.members(), count.community(today) if today else None


def story(active: Collection[date], day: date, timezone: str) -> Story:
    """Tell a member's story on a day from all dates on which the member was active."""
    days = list(islice(days_back(day, timezone), (day - min(active)).days + 14))
    were = [each in active for each in days]
    before = next((n for n, was in enumerate(were) if was and n > 0), None)
    return Story(
        streak_days=next(n for n, was in enumerate([*were, False]) if not was),
        newcomer=were[0] and before is None,
        returned=were[0] and before is not None and before >= 14,
        gone_quiet=not any(were[:7]) and sum(were[7:14]) >= 3,
    )


def same_weekdays(day: date, timezone: str) -> list[date]:
    """Give the days that a day is compared with: the same weekday, four times back."""
    earlier = islice(days_back(day, timezone), 1, None)
    return list(islice((each for each in earlier if each.weekday() == day.weekday()), 4))


def days_back(day: date, timezone: str) -> Iterator[date]:
    """Give a day and the days before it, without dates that no clock in the zone ever showed."""
    zone = ZoneInfo(timezone)
    while True:
        first = datetime.combine(day, datetime.min.time(), UTC) - timedelta(hours=16)
        if any((first + timedelta(hours=n)).astimezone(zone).date() == day for n in range(57)):
            yield day
        day -= timedelta(days=1)


def is_active(row: MemberRow) -> bool:
    return row.message_count > 0 or row.reaction_count > 0 or row.voice_minutes > 0


def moment(event: Row) -> datetime:
    # Two datetimes that share a ZoneInfo are subtracted by the clock on the wall: take all to UTC first.
    at: datetime = event["occurred_at"]
    return at.astimezone(UTC)


def account(event: Row) -> Account:
    return event["platform"], event["member_id"]


def of_type(events: Iterable[Row], *event_types: str) -> list[Row]:
    return [e for e in events if e["event_type"] in event_types]


def emoji(event: Row) -> str | None:
    """Give what PostgreSQL's `metadata->>'emoji'` gives (for an object or array only as far as spaces go)."""
    value = event["metadata"].get("emoji")
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def standing_reactions(today: Iterable[Row]) -> Iterator[Reaction]:
    """Find the reactions of a day that stand at its end."""
    given: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for event in of_type(today, "REACTION_ADDED", "REACTION_REMOVED"):
        if event["object_id"] is not None:
            key = (account(event), event["channel_id"], event["object_id"], emoji(event))
            given[key].append(event)
        elif event["event_type"] == "REACTION_ADDED":
            yield reaction(event)
    for history in given.values():
        last = max(history, key=lambda e: (moment(e), e["event_type"] == "REACTION_REMOVED"))
        if last["event_type"] == "REACTION_ADDED":
            added = of_type(history, "REACTION_ADDED")
            yield reaction(max(added, key=lambda e: (moment(e), author_rank(e))))


def author_rank(event: Row) -> tuple[bool, str]:
    """Order authors by code point, a missing one first."""
    author = event["object_author_id"]
    return author is not None, author or ""


def reaction(event: Row) -> Reaction:
    author = event["object_author_id"]
    return Reaction(account(event), None if author is None else (event["platform"], author), moment(event))


def in_voice(events: Iterable[Row]) -> Iterator[tuple[Account, Interval]]:
    """Find the intervals that two consecutive observations of one account enclose."""
    seen: defaultdict[Account, list[Row]] = defaultdict(list)
    for event in of_type(events, *AT_EQUAL_TIMES):
        seen[account(event)].append(event)
    for who, observations in seen.items():
        observations.sort(key=lambda e: (moment(e), AT_EQUAL_TIMES[e["event_type"]]))
        for a, b in pairwise(observations):
            enclosed = a["event_type"] in BEGINS and b["event_type"] in ENDS
            if enclosed and moment(b) - moment(a) <= VOICE_GAP:
                yield who, (moment(a), moment(b))


def united(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """Give the parts of time that at least one of the intervals covers, each once."""
    covered = datetime.min.replace(tzinfo=UTC)
    for start, end in sorted(intervals):
        if end > covered:
            yield max(start, covered), end
            covered = end


def minute_by_minute(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """Cut intervals at every full minute: since 2000 no zone changed its date, hour or offset within one."""
    for begin, end in intervals:
        start = begin
        while start < end:
            stop = min(end, start.replace(second=0, microsecond=0) + MINUTE)
            yield start, stop
            start = stop
