"""The oracle: a day's highlights straight from the text of the design's "Highlights", slow and obvious.

Takes rows of `participation_events` in any order, gives what the highlights tables must hold. It shares no
code with the package, so that one mistake cannot hide in both.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
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
    voice_minutes_together: int | None = None


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
class ChannelRow:
    """What `channel_daily_highlights` must hold for one channel."""

    active_members: int
    message_count: int
    reaction_count: int
    voice_minutes: int


@dataclass(frozen=True)
class Setup:
    """What a community has set, and what names tell about its channels: of each, the parent and the category."""

    excluded_members: Collection[str] = ()
    excluded_channels: Collection[str] = ()
    reputation: str | int | Mapping[str, Any] = 1
    authors_from_messages: bool = False
    voice_alone: bool = False
    above: Mapping[Account, tuple[str | None, str | None]] = field(default_factory=dict)

    @property
    def leaves_alone_out(self) -> bool:
        return isinstance(self.reputation, Mapping) and not self.voice_alone

    def below(self) -> set[str]:
        """Give the excluded channels and what names tell to be in them."""
        found = set(self.excluded_channels)
        while (
            more := {
                ":".join(name)
                for name, above in self.above.items()
                if found & {f"{name[0]}:{each}" for each in above if each}
            }
            - found
        ):
            found |= more
        return found


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
    event: Row


@dataclass
class Tally:
    """What one person has done so far while the day is being counted."""

    messages: int = 0
    reactions: int = 0
    received: int = 0
    voice: timedelta = timedelta()
    together: timedelta = timedelta()
    hours: set[int] = field(default_factory=set)

    def row(self, setup: Setup) -> MemberRow:
        minutes = self.voice // MINUTE
        together = self.together // MINUTE if setup.leaves_alone_out else None
        reputation = self.reputation(setup.reputation, minutes if together is None else together)
        return MemberRow(self.messages, self.reactions, self.received, minutes, len(self.hours), reputation, together)

    def reputation(self, rule: str | int | Mapping[str, Any], minutes: int) -> int:
        if rule == "off":
            return 0
        own = rule if isinstance(rule, Mapping) else {}
        total = Fraction(min(minutes, own.get("voice_minutes_cap", 120)) // own.get("voice_minutes_per_point", 5))
        counts = {
            "message": (self.messages, 1, 50),
            "reaction": (self.reactions, 1, 20),
            "received": (self.received, 2, 50),
        }
        for name, (value, weight, cap) in counts.items():
            total += Fraction(str(own.get(f"{name}_weight", weight))) * min(value, own.get(f"{name}_cap", cap))
        return int(total)


@dataclass
class Count:
    """A local day while it is being counted."""

    day: date
    zone: ZoneInfo
    persons: Mapping[Account, str]
    others: Collection[Account]
    """Accounts that are something else than a user."""
    setup: Setup
    tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    busy: Counter[int] = field(default_factory=Counter)
    channels: defaultdict[Account, defaultdict[str, Tally]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Tally))
    )
    topic_chats: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.below = self.setup.below()
        listed = set(self.setup.excluded_members)
        self.excluded = (listed - {":".join(each) for each in self.persons}) | (listed & set(self.persons.values()))
        self.excluded |= {who for name, who in self.persons.items() if ":".join(name) in listed}
        known = [
            chat
            for chat, *topic in (
                each.removeprefix("telegram:").split("/", 1) for each in self.below if each.startswith("telegram:")
            )
            if topic
        ]
        named = [
            parent
            for (platform, channel), (parent, _) in self.setup.above.items()
            if platform == "telegram" and parent and channel.startswith(f"{parent}/")
        ]
        self.topic_chats.update(known, named)

    def includes(self, at: datetime) -> bool:
        return at.astimezone(self.zone).date() == self.day

    def end(self) -> datetime:
        first = datetime.combine(self.day, datetime.min.time(), UTC) - timedelta(hours=16)
        minutes = (first + n * MINUTE for n in range(57 * 60))
        return max(each for each in minutes if self.includes(each)) + MINUTE

    def person(self, account: Account) -> str:
        return self.persons.get(account, f"{account[0]}:{account[1]}")

    def is_member_excluded(self, account: Account) -> bool:
        return self.person(account) in self.excluded

    def is_excluded(self, event: Row) -> bool:
        """Whether the event is in, or below, an excluded channel by itself."""
        ids = [event["channel_id"], told(event, "parent_id"), told(event, "category_id")]
        topic = told(event, "topic_id")
        if event["platform"] == "telegram" and event["channel_id"] is not None:
            topic = "1" if topic is None and event["event_type"] == "MESSAGE_SENT" else topic
            ids += [f"{event['channel_id']}/{topic}"] if topic is not None else []
        return bool(self.below & {f"{event['platform']}:{each}" for each in ids if each is not None})

    def channel(self, event: Row, place: str | None) -> Account | None:
        """Give the channel for which the event counts."""
        platform, channel = event["platform"], event["channel_id"]
        if channel is None:
            return None
        if platform == "discord":
            parent, _ = self.setup.above.get((platform, channel), (None, None))
            return platform, place or parent or channel
        if platform == "telegram" and (place is not None or channel in self.topic_chats):
            return platform, f"{channel}/{place or 1}"
        return platform, channel

    def acted(self, account: Account, at: datetime) -> Tally:
        hour = at.astimezone(self.zone).hour
        self.busy[hour] += 1
        tally = self.tallies[self.person(account)]
        tally.hours.add(hour)
        return tally

    def in_channel(self, event: Row, place: str | None) -> Tally:
        channel = self.channel(event, place)
        return Tally() if channel is None else self.channels[channel][self.person(account(event))]

    def messages(self, today: Iterable[Row]) -> None:
        for event in of_type(today, "MESSAGE_SENT"):
            self.acted(account(event), moment(event)).messages += 1
            self.in_channel(event, place_of(event)).messages += 1

    def reactions(self, today: Iterable[Row], here: Iterable[Row]) -> None:
        end = self.end()
        sent = [e for e in of_type(here, "MESSAGE_SENT") if moment(e) < end and e["object_id"] is not None]
        standing = [each for each in standing_reactions(today) if not self.is_excluded(each.event)]
        self.topic_chats |= {
            r.event["channel_id"] for r in standing if r.event["platform"] == "telegram" and place_of(r.event)
        }
        for reaction in standing:
            origin = max((e for e in sent if same_object(e, reaction.event)), key=origin_rank, default=None)
            place, author = place_of(reaction.event), reaction.author
            if reaction.event["platform"] == "telegram":
                if place is None and origin is not None and origin["channel_id"] in self.topic_chats:
                    place = place_of(origin)
                if f"telegram:{reaction.event['channel_id']}/{place or 1}" in self.below:
                    continue
            if author is None and origin is not None and self.setup.authors_from_messages:
                author = account(origin)
            self.acted(reaction.reactor, reaction.at).reactions += 1
            self.in_channel(reaction.event, place).reactions += 1
            if author is None or author in self.others or self.is_member_excluded(author):
                continue
            if self.person(author) != self.person(reaction.reactor):
                self.tallies[self.person(author)].received += 1

    def voice(self, events: Iterable[Row]) -> None:  # noqa: C901 - three sums of the same intervals
        stays = [(a, stay) for a, stay in in_voice(events) if not self.is_excluded(a)]
        whole: defaultdict[str, list[Interval]] = defaultdict(list)
        by_channel: defaultdict[tuple[Account, str], list[Interval]] = defaultdict(list)
        for a, stay in stays:
            person = self.person(account(a))
            whole[person].append(stay)
            if (channel := self.channel(a, place_of(a))) is not None:
                by_channel[channel, person].append(stay)
        for person, intervals in whole.items():
            for start, end in minute_by_minute(united(intervals)):
                if self.includes(start):
                    self.tallies[person].voice += end - start
                    self.tallies[person].hours.add(start.astimezone(self.zone).hour)
        for (channel, person), intervals in by_channel.items():
            for start, end in minute_by_minute(united(intervals)):
                if self.includes(start):
                    self.channels[channel][person].voice += end - start
        self.together(stays)

    def together(self, stays: list[tuple[Row, Interval]]) -> None:
        """Add the time in which a person who hears is in one channel with another person."""
        shared: defaultdict[str, list[Interval]] = defaultdict(list)
        for mine, (start, end) in stays:
            if mine["metadata"].get("deaf") is True:
                continue
            for other, (since, until) in stays:
                is_same = all(mine[name] == other[name] for name in ("platform", "channel_id"))
                if is_same and self.person(account(mine)) != self.person(account(other)):
                    both = max(start, since), min(end, until)
                    shared[self.person(account(mine))] += [both] if both[0] < both[1] else []
        for person, intervals in shared.items():
            for start, end in minute_by_minute(united(intervals)):
                if self.includes(start):
                    self.tallies[person].together += end - start

    def members(self) -> dict[str, MemberRow]:
        rows = {person: tally.row(self.setup) for person, tally in self.tallies.items()}
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

    def channel_rows(self) -> dict[Account, ChannelRow]:
        found = {}
        for channel, tallies in self.channels.items():
            rows = [row for row in (tally.row(self.setup) for tally in tallies.values()) if is_active(row)]
            if rows:
                counts = (
                    sum(getattr(row, name) for row in rows)
                    for name in ("message_count", "reaction_count", "voice_minutes")
                )
                found[channel] = ChannelRow(len(rows), *counts)
        return found


def highlights(
    events: Iterable[Row],
    community_id: str,
    day: date,
    timezone: str,
    persons: Mapping[Account, str],
    *,
    others: Collection[Account] = (),
    setup: Setup | None = None,
) -> tuple[dict[str, MemberRow], CommunityRow | None]:
    """Compute a local day: its members' rows by person, and the community's, None if nobody did anything.

    others: accounts that other events than these show to be something else than a user.
    """
    count, today = counted_day(events, community_id, day, timezone, persons, others=others, setup=setup)
    return count.members(), count.community(today) if today else None


def channel_rows(
    events: Iterable[Row],
    community_id: str,
    day: date,
    timezone: str,
    persons: Mapping[Account, str],
    *,
    setup: Setup | None = None,
) -> dict[Account, ChannelRow]:
    """Compute the rows of a local day by platform and channel."""
    return counted_day(events, community_id, day, timezone, persons, setup=setup)[0].channel_rows()


def counted_day(
    events: Iterable[Row],
    community_id: str,
    day: date,
    timezone: str,
    persons: Mapping[Account, str],
    *,
    others: Collection[Account] = (),
    setup: Setup | None = None,
) -> tuple[Count, list[Row]]:
    """Count a day; give it with those of its events that are not excluded."""
    here = [e for e in events if e["community_id"] == community_id]
    known = {*others, *(account(e) for e in here if e["actor_kind"] != "user")}
    count = Count(day, ZoneInfo(timezone), persons, known, setup or Setup())
    counted = [e for e in here if e["actor_kind"] == "user" and not count.is_member_excluded(account(e))]
    all_today = [e for e in counted if count.includes(moment(e))]
    today = [e for e in all_today if not count.is_excluded(e)]
    sent = of_type(today, "MESSAGE_SENT")
    count.topic_chats |= {e["channel_id"] for e in sent if e["platform"] == "telegram" and place_of(e) is not None}
    if all_today:
        count.reactions(all_today, here)
    count.messages(today)
    count.voice(counted)
    return count, today


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
    return told(event, "emoji")


def told(event: Row, name: str) -> str | None:
    """Give what PostgreSQL's `->>` gives of the metadata."""
    value = event["metadata"].get(name)
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def place_of(event: Row) -> str | None:
    """Give what an event tells about its place: the parent of its channel, or the topic in it."""
    name = {"discord": "parent_id", "telegram": "topic_id"}.get(event["platform"])
    return None if name is None else told(event, name)


def same_object(message: Row, reaction: Row) -> bool:
    names = ("platform", "channel_id", "object_id")
    return message["channel_id"] is not None and all(message[name] == reaction[name] for name in names)


def origin_rank(message: Row) -> tuple[Any, ...]:
    return moment(message), message["member_id"], place_of(message) is not None, place_of(message) or ""


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
            yield reaction(max(added, key=lambda e: (moment(e), author_rank(e), place_rank(e))))


def author_rank(event: Row) -> tuple[bool, str]:
    """Order authors by code point, a missing one first."""
    author = event["object_author_id"]
    return author is not None, author or ""


def place_rank(event: Row) -> tuple[bool, str]:
    return place_of(event) is not None, place_of(event) or ""


def reaction(event: Row) -> Reaction:
    author = event["object_author_id"]
    return Reaction(account(event), None if author is None else (event["platform"], author), moment(event), event)


def in_voice(events: Iterable[Row]) -> Iterator[tuple[Row, Interval]]:
    """Find the intervals that two consecutive observations of one account enclose, each with the first of them."""
    seen: defaultdict[Account, list[Row]] = defaultdict(list)
    for event in of_type(events, *AT_EQUAL_TIMES):
        seen[account(event)].append(event)
    for observations in seen.values():
        observations.sort(key=voice_rank)
        for a, b in pairwise(observations):
            enclosed = a["event_type"] in BEGINS and b["event_type"] in ENDS
            if enclosed and moment(b) - moment(a) <= VOICE_GAP:
                yield a, (moment(a), moment(b))


def voice_rank(event: Row) -> tuple[Any, ...]:
    is_deaf = event["metadata"].get("deaf") is True
    channel = event["channel_id"] is not None, event["channel_id"] or ""
    return moment(event), AT_EQUAL_TIMES[event["event_type"]], channel, place_rank(event), is_deaf


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
