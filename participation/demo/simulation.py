"""The simulated community of `participation demo`: the events of the people of Harbour in some weeks.

`simulate` yields events in the format of bots, in the order in which bots would send them. As with real bots, there are
repeated and late events, missing leaves, and times with different offsets. The same seed gives the same events. Uses no
I/O and no clock.
"""

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import accumulate, chain
from operator import itemgetter
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from participation.demo.people import BERLIN, MACHINES, NEW_YORK, SimulatedAccount, SimulatedPerson, people, snowflake
from participation.platforms import discord

COMMUNITY_ID: Final = "harbour"
NAME: Final = "Harbour"
TIMEZONE: Final = "Europe/Berlin"
DAYS: Final = 21

TEXT_CHANNELS: Final = {
    "discord": ("1041873320117125120", "1041873391885897829", "1041873467702120488"),
    "telegram": ("-1001620331948", "-1001705516632"),
    "irc": ("#harbour", "#harbour-dev"),
}
"""The text channels of each platform, the busiest first."""

VOICE_CHANNELS: Final = ("1041873543090540644", "1041873610702995567")

_WRITTEN_IN: Final[dict[str, tzinfo]] = {"discord": UTC, "telegram": BERLIN, "irc": NEW_YORK}
"""The time zone in which the bot of each platform writes its times."""

_EMOJIS: Final = ("👍", "❤️", "😂", "🎉", "👀", "⚓")
_EMOJI_WEIGHTS: Final = tuple(accumulate((10, 6, 5, 3, 3, 1)))

_HOURS: Final = range(24)
_WEEKDAY: Final = tuple(accumulate((3, 1, 0, 0, 0, 1, 3, 6, 8, 7, 6, 6, 9, 8, 6, 6, 7, 9, 11, 14, 17, 17, 13, 7)))
_WEEKEND: Final = tuple(
    accumulate((6, 3, 1, 0, 0, 0, 1, 2, 5, 9, 12, 13, 12, 11, 12, 13, 13, 12, 12, 13, 15, 16, 14, 9))
)
"""How active a person is in each hour of the local day, as cumulative weights."""

_SATURDAY: Final = 5
_WEEKEND_FACTOR: Final = 1.3
_BEST_DAY_FACTOR: Final = 3.5
_REACTIONS_PER_MESSAGE: Final = 0.85

_IN_VOICE: Final = 0.4
_TAKEN_BACK: Final = 0.07
_GIVEN_AGAIN: Final = 0.4
_MOVED: Final = 0.06
_JOINED_TWICE: Final = 0.05
_LEFT_UNSEEN: Final = 0.05
_SENT_TWICE: Final = 0.01
_SENT_LATE: Final = 0.003

_SNAPSHOT_SECONDS: Final = 15 * 60

SimulatedEvent = dict[str, Any]
"""An event whose `occurred_at` is still a datetime."""


def best_day(days: int, ends: date) -> date:
    """Return the day of the harbour festival: the last Saturday, or the last day if there is no Saturday."""
    saturday = ends - timedelta(days=(ends.weekday() - _SATURDAY) % 7)
    return saturday if saturday > ends - timedelta(days=days) else ends


def simulate(seed: int = 7, days: int = DAYS, members: int = 120, *, ends: date) -> Iterator[dict[str, Any]]:
    """Yield the events of `days` local days up to and including `ends`, as JSON objects in the order of sending.

    With the defaults, there are about 70,000. Nothing occurs after `ends`, which should be in the past.
    """
    rng = Random(seed)  # noqa: S311 - a simulation, not a secret
    everybody = people(seed, members)
    festival = best_day(days, ends)
    dates = (ends - timedelta(days=n) for n in reversed(range(days)))
    played = (_Day(rng, day, (day - festival).days, everybody).events() for day in dates)
    end = _midnight(BERLIN, ends + timedelta(days=1))
    return _sent(rng, (event for event in chain.from_iterable(played) if event["occurred_at"] < end))


@lru_cache(maxsize=256)
def _midnight(zone: ZoneInfo, day: date) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _event(
    event_type: str, at: datetime, account: SimulatedAccount, channel: str | None, **more: Any
) -> SimulatedEvent:
    """Return an event. The times of Telegram are in whole seconds, those of other platforms in milliseconds."""
    unit = 1_000_000 if account.platform == "telegram" else 1_000
    return {
        "event_type": event_type,
        "platform": account.platform,
        "community_id": COMMUNITY_ID,
        "member_id": account.account_id,
        "occurred_at": at.replace(microsecond=at.microsecond // unit * unit),
        **({"channel_id": channel} if channel else {}),
        **({"actor_kind": account.actor_kind} if account.actor_kind != "user" else {}),
        **more,
    }


@dataclass
class _Day:
    """One day, the people who are active on it, and their hours. `number` counts the days from the best day."""

    rng: Random
    day: date
    number: int
    people: Sequence[SimulatedPerson]
    around: dict[SimulatedPerson, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.around = {
            person: self.hours(3 + int(person.messages / 12))
            for person in self.people
            if person.is_around(self.rng, self.number)
        }

    def events(self) -> Iterator[SimulatedEvent]:
        messages = sorted(self.messages(), key=itemgetter("occurred_at"))
        for number, message in enumerate(messages):
            message["object_id"] = self.message_id(message["platform"], message["occurred_at"], number)
        yield from messages
        for platform in ("discord", "telegram"):
            yield from self.reactions(platform, messages)
        yield from self.voice()
        yield from self.joins_and_leaves()

    def messages(self) -> Iterator[SimulatedEvent]:
        for person in self.around:
            for at in self.moments(person, person.messages):
                yield self.message(at, self.rng.choice(person.accounts))
        for machine in MACHINES:
            for _ in range(self.rng.randrange(5, 30)):
                yield self.message(self.at_hour(BERLIN, *self.hours(1)), machine)

    def message(self, at: datetime, account: SimulatedAccount) -> SimulatedEvent:
        channels = TEXT_CHANNELS[account.platform]
        channel = channels[min(int(self.rng.expovariate(1.3)), len(channels) - 1)]
        length = 1 + int(self.rng.lognormvariate(3.6, 0.9))
        return _event("MESSAGE_SENT", at, account, channel, metadata={"length": length})

    def message_id(self, platform: str, at: datetime, number: int) -> str:
        if platform == "discord":
            return snowflake(self.rng, at)
        if platform == "telegram":
            return str((self.day - discord.EPOCH.date()).days * 10_000 + number)
        return f"{self.rng.getrandbits(88):022x}"

    def reactions(self, platform: str, all_messages: Iterable[SimulatedEvent]) -> Iterator[SimulatedEvent]:
        """Yield reactions of people with an account on the platform to recent messages there."""
        messages = [message for message in all_messages if message["platform"] == platform]
        sent_at = [message["occurred_at"] for message in messages]
        for person, account in self.accounts_on(platform):
            for at in self.moments(person, person.messages * _REACTIONS_PER_MESSAGE / len(person.accounts)):
                index = bisect(sent_at, at) - 1 - int(self.rng.expovariate(0.15))
                if index >= 0:
                    yield from self.reaction(at, account, messages[index])

    def reaction(self, at: datetime, account: SimulatedAccount, message: SimulatedEvent) -> Iterator[SimulatedEvent]:
        """Yield a reaction, sometimes its removal, and sometimes the same reaction again."""
        emoji = self.rng.choices(_EMOJIS, cum_weights=_EMOJI_WEIGHTS)[0]
        to = {"object_id": message["object_id"], "object_author_id": message["member_id"]}
        for chance, event_type in ((1, "ADDED"), (_TAKEN_BACK, "REMOVED"), (_GIVEN_AGAIN, "ADDED")):
            if self.rng.random() >= chance:
                return
            yield _event(f"REACTION_{event_type}", at, account, message["channel_id"], **to, metadata={"emoji": emoji})
            at += timedelta(seconds=1 + self.rng.expovariate(1 / 60))

    def voice(self) -> Iterator[SimulatedEvent]:
        """Yield the voice events of some people in the evening. The longest stays end before four in the morning."""
        for person, account in self.accounts_on("discord"):
            if self.rng.random() < (2 if self.number == 0 else 1) * _IN_VOICE:
                start = _midnight(person.zone, self.day) + timedelta(hours=self.rng.uniform(17, 22.5))
                stay = timedelta(hours=min(self.rng.expovariate(0.9), 5))
                yield from self.stay(account, start, start + stay)

    def stay(self, account: SimulatedAccount, start: datetime, end: datetime) -> Iterator[SimulatedEvent]:
        """Yield the events of one stay as a bot sees it. The bot looks every 15 minutes, and may miss the end."""
        channel, other = self.rng.sample(VOICE_CHANNELS, 2)
        yield _event("VOICE_JOINED", start, account, channel)
        if self.rng.random() < _JOINED_TWICE:
            yield _event("VOICE_JOINED", start + (end - start) / 9, account, channel)
        for at in _snapshots(start, end):
            if self.rng.random() < _MOVED:
                yield _event("VOICE_LEFT", at, account, channel)
                channel, other = other, channel
                yield _event("VOICE_JOINED", at, account, channel)
            else:
                yield _event("VOICE_PRESENT", at, account, channel)
        if self.rng.random() >= _LEFT_UNSEEN:
            yield _event("VOICE_LEFT", end, account, channel)

    def joins_and_leaves(self) -> Iterator[SimulatedEvent]:
        """Yield joins of newcomers, and visitors who join and leave within minutes."""
        for person in self.people:
            if self.number == person.arrives:
                at = self.at_hour(person.zone, 0)
                yield from (_event("MEMBER_JOINED", at, account, None) for account in person.accounts)
        for _ in range(self.rng.randrange(4)):
            at = self.at_hour(BERLIN, *self.hours(1))
            visitor = SimulatedAccount("discord", snowflake(self.rng, at - timedelta(days=1)))
            yield _event("MEMBER_JOINED", at, visitor, None)
            yield _event("MEMBER_LEFT", at + timedelta(minutes=7), visitor, None)

    def accounts_on(self, platform: str) -> Iterator[tuple[SimulatedPerson, SimulatedAccount]]:
        for person in self.around:
            for account in person.accounts:
                if account.platform == platform:
                    yield person, account

    def moments(self, person: SimulatedPerson, mean: float) -> Iterator[datetime]:
        """Yield random times at which a person does something that happens `mean` times on an ordinary day."""
        if self.number == 0:
            mean *= _BEST_DAY_FACTOR
        elif self.day.weekday() >= _SATURDAY:
            mean *= _WEEKEND_FACTOR
        for _ in range(round(self.rng.gammavariate(2, mean / 2))):
            yield self.at_hour(person.zone, self.rng.choice(self.around[person]))

    def hours(self, count: int) -> list[int]:
        rhythm = _WEEKEND if self.day.weekday() >= _SATURDAY else _WEEKDAY
        return self.rng.choices(_HOURS, cum_weights=rhythm, k=count)

    def at_hour(self, zone: ZoneInfo, hour: int) -> datetime:
        return _midnight(zone, self.day) + timedelta(seconds=3600 * (hour + self.rng.random()))


def _snapshots(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the full quarters of an hour from `start` to `end`."""
    at = (start.timestamp() // _SNAPSHOT_SECONDS + 1) * _SNAPSHOT_SECONDS
    while at < end.timestamp():
        yield datetime.fromtimestamp(at, UTC)
        at += _SNAPSHOT_SECONDS


def _sent(rng: Random, events: Iterable[SimulatedEvent]) -> Iterator[dict[str, Any]]:
    """Yield the events as bots write them, in the order of sending. A few are late, and a few are sent twice."""
    queue: list[tuple[datetime, dict[str, Any]]] = []
    for event in events:
        at: datetime = event["occurred_at"]
        late = timedelta(hours=rng.uniform(1, 30)) if rng.random() < _SENT_LATE else timedelta()
        queue.append((at + late, _written(event)))
        if rng.random() < _SENT_TWICE:
            # A second bot saw the event too, or an attempt that timed out was successful.
            again = event | {"occurred_at": _rfc_3339(at, rng.choice((UTC, BERLIN)))}
            queue.append((at + late + timedelta(seconds=rng.uniform(1, 90)), again))
    queue.sort(key=itemgetter(0))
    yield from (event for _, event in queue)


def _written(event: SimulatedEvent) -> dict[str, Any]:
    zone = _WRITTEN_IN[event["platform"]]
    return event | {"occurred_at": _rfc_3339(event["occurred_at"], zone)}


def _rfc_3339(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).isoformat().replace("+00:00", "Z")
