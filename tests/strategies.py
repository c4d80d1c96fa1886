"""Hypothesis strategies: communities whose events lie where a day's count goes wrong most easily."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import accumulate, product
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from participation.event import decode, event_id

JsonObject = dict[str, Any]

COMMUNITY: Final = "harbour"
"""The community under test; now and then an event belongs to another one."""

PLACES: Final = (
    ("UTC", date(2024, 2, 29)),
    ("Asia/Tokyo", date(2024, 1, 1)),
    ("Asia/Kolkata", date(2023, 6, 15)),
    ("Asia/Kathmandu", date(2023, 6, 15)),
    ("Europe/Berlin", date(2024, 3, 31)),  # 23 hours
    ("Europe/Berlin", date(2024, 10, 27)),  # 25 hours
    ("America/New_York", date(2024, 3, 10)),
    ("America/New_York", date(2024, 11, 3)),
    ("Australia/Lord_Howe", date(2024, 4, 7)),  # 24 ½ hours
    ("Australia/Lord_Howe", date(2024, 10, 6)),  # 23 ½ hours
    ("America/Sao_Paulo", date(2018, 11, 4)),  # begins at 01:00
    ("America/Sao_Paulo", date(2018, 2, 17)),  # 23:00 to 24:00 twice
    ("Africa/Cairo", date(2024, 4, 26)),  # begins at 01:00
    ("Africa/Cairo", date(2024, 10, 31)),  # 23:00 to 24:00 twice
    ("Pacific/Apia", date(2011, 12, 30)),  # never was
    ("Pacific/Apia", date(2011, 12, 31)),
    ("America/Havana", date(2018, 11, 4)),  # 00:00 to 01:00 twice
    ("America/St_Johns", date(2010, 11, 7)),  # a minute of it, an hour of the 6th again, then the rest of it
)
"""Zones, each with a day on which its clock does something worth a test."""

_QUARTER: Final = timedelta(minutes=15)
_MICROSECOND: Final = timedelta(microseconds=1)
_STEPS: Final = (
    *(n * _QUARTER for n in (0, 0, 1, 1, 2, 4, 12)),
    *(timedelta(seconds=s) for s in (30, 59.999999)),
    *(timedelta(hours=12) + n * _MICROSECOND for n in (-1, 0, 1)),
)
_OFFSETS: Final = (0, 120, -240, 345)
_EMOJIS: Final[tuple[tuple[JsonObject, ...], ...]] = (
    ({"emoji": "👍"}, {"emoji": "👍", "skin": 3}),
    ({"emoji": "🎉"},),
    ({}, {"emoji": None}),
    # Two events by their identity, but one emoji to `metadata->>'emoji'`.
    ({"emoji": "1"}, {"emoji": 1}),
)


@dataclass(frozen=True)
class Community:
    """A drawn community. `decode(event).model_dump()` makes a row for `tests.reference` of each event."""

    timezone: str
    day: date
    events: list[JsonObject]
    persons: Mapping[tuple[str, str], str]


def _written(at: datetime, minutes: int) -> str:
    return at.astimezone(timezone(timedelta(minutes=minutes))).isoformat()


@st.composite
def _times(draw: st.DrawFn, zone: str, day: date) -> list[str]:
    """Draw moments in order, mostly on a grid of quarter hours, the first of them not far from a midnight."""
    near = day + timedelta(days=draw(st.sampled_from((0, 0, 1, -1))))
    midnight = datetime.combine(near, time(), ZoneInfo(zone))
    at = midnight.astimezone(UTC) + draw(st.integers(-8, 16) | st.integers(-24, 60)) * _QUARTER
    steps = draw(st.lists(st.sampled_from(_STEPS), min_size=1, max_size=6))
    later = accumulate(steps, initial=timedelta())
    return [_written(at + elapsed, draw(st.sampled_from(_OFFSETS))) for elapsed in later]


def _history(
    times: st.SearchStrategy[list[str]],
    same: dict[str, st.SearchStrategy[Any]],
    **each: st.SearchStrategy[Any],
) -> st.SearchStrategy[list[JsonObject]]:
    """Draw what one account does over some time: `same` is drawn once, `each` for every event."""
    account = st.fixed_dictionaries(
        {
            "community_id": st.sampled_from((COMMUNITY,) * 15 + ("elsewhere",)),
            "platform": st.sampled_from(("discord", "discord", "telegram", "irc")),
            "member_id": st.sampled_from(("1", "1", "2", "3")),
            "actor_kind": st.sampled_from(("user",) * 11 + ("bot", "webhook", "anonymous")),
            **same,
        }
    )
    deed = st.fixed_dictionaries({**each})

    @st.composite
    def history(draw: st.DrawFn) -> list[JsonObject]:
        who = draw(account)
        return [{**who, "occurred_at": at, **draw(deed)} for at in draw(times)]

    return history()


def _messages(times: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[JsonObject]]:
    return _history(
        times,
        {"event_type": st.just("MESSAGE_SENT"), "channel_id": st.sampled_from(("deck", "quay", None))},
        object_id=st.integers(1, 1000).map(str),
    )


@st.composite
def _reactions(draw: st.DrawFn, times: st.SearchStrategy[list[str]]) -> list[JsonObject]:
    """Draw one reaction given, taken back and given again, its author now and then told differently."""
    history = _history(
        times,
        {"object_id": st.sampled_from(("1", "1", "2", None))},
        channel_id=st.sampled_from(("deck", "deck", "deck", None)),
        event_type=st.sampled_from(("REACTION_ADDED", "REACTION_ADDED", "REACTION_REMOVED")),
        object_author_id=st.sampled_from(("1", "2", "3", None)),
        metadata=st.sampled_from(draw(st.sampled_from(_EMOJIS))),
        # Only with ids of their own can two events differ in nothing but the author.
        event_id=st.none() | st.integers(0, 2**32).map(lambda n: str(UUID(int=n))),
    )
    return draw(history)


def _voice(times: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[JsonObject]]:
    return _history(
        times,
        {},
        event_type=st.sampled_from(("VOICE_JOINED", "VOICE_PRESENT", "VOICE_LEFT")),
        channel_id=st.sampled_from(("deck", "quay")),
    )


def _comings(times: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[JsonObject]]:
    return _history(times, {}, event_type=st.sampled_from(("MEMBER_JOINED", "MEMBER_LEFT")))


def _stored_as(event: JsonObject) -> tuple[object, ...]:
    """Give the primary key under which the event is stored."""
    decoded = decode(event)
    return decoded.community_id, decoded.occurred_at, event_id(decoded)


def _persons() -> st.SearchStrategy[dict[tuple[str, str], str]]:
    """Draw who owns which accounts: often several are one person's, and some are nobody's."""
    accounts = product(("discord", "telegram", "irc"), ("1", "2", "3"))
    # A person may bear the name that an account which is not linked has by itself.
    owner = st.sampled_from(("ada", "ada", "grace", "discord:1", None))
    owners = st.fixed_dictionaries(dict.fromkeys(accounts, owner))
    return owners.map(lambda drawn: {account: person for account, person in drawn.items() if person})


@st.composite
def communities(draw: st.DrawFn) -> Community:
    """Draw a community, a day of it and events around that day, no two of which are one event."""
    zone, day = draw(st.sampled_from(PLACES))
    times = _times(zone, day)
    kinds = (
        _voice(times),
        _voice(times),
        _reactions(times),
        _reactions(times),
        _messages(times),
        _comings(times),
    )
    # Hypothesis alone makes short lists: with their length drawn first they are long as often as not.
    histories = [draw(st.one_of(*kinds)) for _ in range(draw(st.integers(0, 12)))]
    events = {_stored_as(event): event for history in histories for event in history}
    return Community(zone, day, list(events.values()), draw(_persons()))


def _extras(event: JsonObject) -> st.SearchStrategy[JsonObject]:
    """Draw what a bot tells about the place of an event, and whether its member is deafened."""
    place = st.fixed_dictionaries({}, optional={"parent_id": st.just("pier"), "topic_id": st.sampled_from(("5", 7))})
    if event["event_type"].startswith("VOICE"):
        return st.fixed_dictionaries({}, optional={"deaf": st.booleans()})
    if event["event_type"] == "MESSAGE_SENT":
        return st.tuples(place, st.sampled_from(({}, {"category_id": "port"}))).map(lambda both: {**both[0], **both[1]})
    return place if event["event_type"].startswith("REACTION") else st.just({})


@st.composite
def set_up(draw: st.DrawFn) -> tuple[Community, JsonObject, dict[tuple[str, str], tuple[str | None, str | None]]]:
    """Draw a community, its options, and the parent and the category that names tell of its channels."""
    drawn = draw(communities())
    events = [{**each, "metadata": {**each.get("metadata", {}), **draw(_extras(each))}} for each in drawn.events]
    for each in events:
        if each["event_type"] == "MESSAGE_SENT":  # so that reactions are often to a stored message
            each["object_id"] = str(int(each["object_id"]) % 3)
    events = list({_stored_as(event): event for event in events}.values())
    weights = {"message_weight": st.sampled_from((0, 1.5)), "message_cap": st.integers(0, 3)}
    more = {"voice_minutes_cap": st.integers(0, 60), "voice_minutes_per_point": st.integers(1, 9)}
    rule = st.fixed_dictionaries({"version": st.just(2)}, optional={**weights, **more})
    members = st.sampled_from(("ada", "grace", "discord:1", "telegram:2"))
    channels = st.sampled_from(
        (
            "discord:deck",
            "discord:quay",
            "discord:pier",
            "discord:port",
            "telegram:quay",
            "telegram:deck/5",
            "telegram:deck/1",
        )
    )
    options = st.fixed_dictionaries(
        {},
        optional={
            "excluded_members": st.lists(members, max_size=2),
            "excluded_channels": st.lists(channels, max_size=2),
            "reputation": st.one_of(st.just(1), st.just("off"), rule, rule),
            "authors_from_messages": st.booleans(),
            "voice_alone": st.booleans(),
        },
    )
    above = st.fixed_dictionaries(
        {},
        optional={
            ("discord", "deck"): st.sampled_from((("pier", None), (None, "port"))),
            ("discord", "pier"): st.just((None, "port")),
            ("telegram", "deck/5"): st.just(("deck", None)),
        },
    )
    return replace(drawn, events=events), draw(options), draw(above)
