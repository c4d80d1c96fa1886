"""The simulated community of `participation demo`: what the people of Harbour do in some weeks.

`simulate` gives events in the fixed format, in the order in which bots would send them, with all that real bots send:
repeats, late events, missed leaves, times with different offsets. The same seed gives the same. No I/O, no clock.
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

TEXT_CHANNELS: Final = {
    "discord": ("1041873320117125120", "1041873391885897829", "1041873467702120488"),
    "telegram": ("-1001620331948", "-1001705516632"),
    "irc": ("#harbour", "#harbour-dev"),
}
"""Where people write on each platform, the liveliest place first."""

VOICE_CHANNELS: Final = ("1041873543090540644", "1041873610702995567")

_WRITTEN_IN: Final[dict[str, tzinfo]] = {"discord": UTC, "telegram": BERLIN, "irc": NEW_YORK}
"""The zone in which each platform's bot writes its times."""

_EMOJIS: Final = ("👍", "❤️", "😂", "🎉", "👀", "⚓")
_EMOJI_WEIGHTS: Final = tuple(accumulate((10, 6, 5, 3, 3, 1)))

_HOURS: Final = range(24)
_WEEKDAY: Final = tuple(accumulate((3, 1, 0, 0, 0, 1, 3, 6, 8, 7, 6, 6, 9, 8, 6, 6, 7, 9, 11, 14, 17, 17, 13, 7)))
_WEEKEND: Final = tuple(
    accumulate((6, 3, 1, 0, 0, 0, 1, 2, 5, 9, 12, 13, 12, 11, 12, 13, 13, 12, 12, 13, 15, 16, 14, 9))
)
"""How much is said in each hour of a person's own day, added up."""

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
    """Name the day of the harbour festival: the last Saturday, or the last day where there is none."""
    saturday = ends - timedelta(days=(ends.weekday() - _SATURDAY) % 7)
    return saturday if saturday > ends - timedelta(days=days) else ends


def simulate(seed: int = 7, days: int = 21, members: int = 120, *, ends: date) -> Iterator[dict[str, Any]]:
    """Give the events of `days` local days up to and with `ends`, as JSON objects in order of sending.

    About 70,000 with the defaults. Nothing occurs after `ends`, which should lie in the past.
    """
    rng = Random(seed)  # noqa: S311 - a play, not a secret
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
    """Make an event; Telegram knows whole seconds only, the others milliseconds."""
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
    """One day, who is around on it, and in which of its hours. `number` counts days from the best day."""

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
        yield from self.comings()

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

    def reactions(self, platform: str, said: Iterable[SimulatedEvent]) -> Iterator[SimulatedEvent]:
        """Let those with an account on a platform react to what was said there last."""
        messages = [message for message in said if message["platform"] == platform]
        sent_at = [message["occurred_at"] for message in messages]
        for person, account in self.accounts_on(platform):
            for at in self.moments(person, person.messages * _REACTIONS_PER_MESSAGE / len(person.accounts)):
                index = bisect(sent_at, at) - 1 - int(self.rng.expovariate(0.15))
                if index >= 0:
                    yield from self.reaction(at, account, messages[index])

    def reaction(self, at: datetime, account: SimulatedAccount, message: SimulatedEvent) -> Iterator[SimulatedEvent]:
        """Give a reaction, now and then take it back, and then perhaps give it again."""
        emoji = self.rng.choices(_EMOJIS, cum_weights=_EMOJI_WEIGHTS)[0]
        to = {"object_id": message["object_id"], "object_author_id": message["member_id"]}
        for chance, event_type in ((1, "ADDED"), (_TAKEN_BACK, "REMOVED"), (_GIVEN_AGAIN, "ADDED")):
            if self.rng.random() >= chance:
                return
            yield _event(f"REACTION_{event_type}", at, account, message["channel_id"], **to, metadata={"emoji": emoji})
            at += timedelta(seconds=1 + self.rng.expovariate(1 / 60))

    def voice(self) -> Iterator[SimulatedEvent]:
        """Let some sit together in the evening; the longest stays end before four in the morning."""
        for person, account in self.accounts_on("discord"):
            if self.rng.random() < (2 if self.number == 0 else 1) * _IN_VOICE:
                start = _midnight(person.zone, self.day) + timedelta(hours=self.rng.uniform(17, 22.5))
                stay = timedelta(hours=min(self.rng.expovariate(0.9), 5))
                yield from self.stay(account, start, start + stay)

    def stay(self, account: SimulatedAccount, start: datetime, end: datetime) -> Iterator[SimulatedEvent]:
        """Tell of one stay what a bot sees of it: it looks every quarter of an hour, and may miss the end."""
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

    def comings(self) -> Iterator[SimulatedEvent]:
        """Let people join on the day they arrive, and passers-by join and leave within minutes."""
        for person in self.people:
            if self.number == person.arrives:
                at = self.at_hour(person.zone, 0)
                yield from (_event("MEMBER_JOINED", at, account, None) for account in person.accounts)
        for _ in range(self.rng.randrange(4)):
            at = self.at_hour(BERLIN, *self.hours(1))
            passer_by = SimulatedAccount("discord", snowflake(self.rng, at - timedelta(days=1)))
            yield _event("MEMBER_JOINED", at, passer_by, None)
            yield _event("MEMBER_LEFT", at + timedelta(minutes=7), passer_by, None)

    def accounts_on(self, platform: str) -> Iterator[tuple[SimulatedPerson, SimulatedAccount]]:
        for person in self.around:
            for account in person.accounts:
                if account.platform == platform:
                    yield person, account

    def moments(self, person: SimulatedPerson, mean: float) -> Iterator[datetime]:
        """Draw when a person does something that is done `mean` times on an ordinary day."""
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
    """Give the full quarters of an hour from `start` to `end`."""
    at = (start.timestamp() // _SNAPSHOT_SECONDS + 1) * _SNAPSHOT_SECONDS
    while at < end.timestamp():
        yield datetime.fromtimestamp(at, UTC)
        at += _SNAPSHOT_SECONDS


def _sent(rng: Random, events: Iterable[SimulatedEvent]) -> Iterator[dict[str, Any]]:
    """Write events as their bots do, a few late and a few twice, and put them in the order of sending."""
    queue: list[tuple[datetime, dict[str, Any]]] = []
    for event in events:
        at: datetime = event["occurred_at"]
        late = timedelta(hours=rng.uniform(1, 30)) if rng.random() < _SENT_LATE else timedelta()
        queue.append((at + late, _written(event)))
        if rng.random() < _SENT_TWICE:
            # A second bot saw it as well, or a try that timed out had arrived after all.
            again = event | {"occurred_at": _rfc_3339(at, rng.choice((UTC, BERLIN)))}
            queue.append((at + late + timedelta(seconds=rng.uniform(1, 90)), again))
    queue.sort(key=itemgetter(0))
    yield from (event for _, event in queue)


def _written(event: SimulatedEvent) -> dict[str, Any]:
    zone = _WRITTEN_IN[event["platform"]]
    return event | {"occurred_at": _rfc_3339(event["occurred_at"], zone)}


def _rfc_3339(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).isoformat().replace("+00:00", "Z")
