"""The simulated community does what real ones do, the same each time."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from participation.demo.names import CHANNELS, CHOSEN, names
from participation.demo.people import SimulatedPerson, people
from participation.demo.simulation import COMMUNITY_ID, TEXT_CHANNELS, TIMEZONE, VOICE_CHANNELS, best_day, simulate
from participation.display_names import clean
from participation.event import ActorKind, Event, EventType, decode, event_id
from participation.notices.names import LONGEST, AccountName, ChannelName, SpaceName
from participation.notices.names import decode as decode_name
from tests.reference import AT_EQUAL_TIMES

ENDS = date(2024, 6, 12)
BERLIN = ZoneInfo(TIMEZONE)


@pytest.fixture(scope="module")
def sent() -> list[dict[str, Any]]:
    """All that the bots of the default community send, in order of sending."""
    return list(simulate(ends=ENDS))


@pytest.fixture(scope="module")
def events(sent: list[dict[str, Any]]) -> list[Event]:
    """Each event once, in order of time, those of voice at equal times as the design orders them."""
    decoded = {event_id(event): event for event in map(decode, sent)}
    return sorted(decoded.values(), key=lambda e: (e.occurred_at, AT_EQUAL_TIMES.get(e.event_type, 0)))


def of_type(events: Iterable[Event], *event_types: EventType) -> list[Event]:
    return [event for event in events if event.event_type in event_types]


def user_messages(events: Iterable[Event]) -> list[Event]:
    return [e for e in of_type(events, EventType.MESSAGE_SENT) if e.actor_kind is ActorKind.USER]


def days_of_writing(events: Iterable[Event]) -> dict[str, set[int]]:
    """The days, counted from the best day, on which each person wrote, by the person's own calendar."""
    owners = owner_of_account()
    found: defaultdict[str, set[int]] = defaultdict(set)
    for event in user_messages(events):
        person = owners[event.platform, event.member_id]
        found[person.name].add((event.occurred_at.astimezone(person.zone).date() - best_day(21, ENDS)).days)
    return found


def owner_of_account() -> dict[tuple[str, str], SimulatedPerson]:
    return {(platform, account): person for person in people() for platform, account, _ in person.accounts}


def test_simulate__same_seed_gives_the_same_events() -> None:
    """A seed decides everything: who, what, when and in which order."""
    play = list(simulate(1, 3, 20, ends=ENDS))
    assert play == list(simulate(1, 3, 20, ends=ENDS))
    assert play != list(simulate(2, 3, 20, ends=ENDS))


def test_simulate__default_size_suits_a_demo(sent: list[dict[str, Any]]) -> None:
    """The demo sends between 60,000 and 80,000 events, and each is a valid event of the one community."""
    assert 60_000 <= len(sent) <= 80_000
    assert {decode(event).community_id for event in sent} == {COMMUNITY_ID}


def test_simulate__nothing_occurs_outside_its_days(events: list[Event]) -> None:
    """All lies between the first local midnight and the one after the last day."""
    end = datetime.combine(ENDS + timedelta(days=1), time(), BERLIN)
    assert end - timedelta(days=21) <= events[0].occurred_at
    assert events[-1].occurred_at < end


def test_simulate__few_events_are_sent_late(sent: list[dict[str, Any]]) -> None:
    """Events are sent in order of time, but for some hundreds that a bot had to keep for an hour or more."""
    late, newest = 0, datetime.min.replace(tzinfo=UTC)
    for at in (datetime.fromisoformat(event["occurred_at"]) for event in sent):
        late += newest - at > timedelta(hours=1)
        newest = max(newest, at)
    assert 100 < late < 500


def test_simulate__about_one_event_in_a_hundred_is_sent_twice(sent: list[dict[str, Any]], events: list[Event]) -> None:
    """Some repeats are the same to the letter, others have the same moment written with another offset."""
    assert 0.007 < 1 - len(events) / len(sent) < 0.013
    distinct = {tuple(map(str, sorted(event.items()))) for event in sent}
    assert len(events) < len(distinct) < len(sent)


def test_simulate__times_are_written_with_different_offsets(sent: list[dict[str, Any]]) -> None:
    """One bot writes UTC, one the community's time, one that of New York."""
    assert {event["occurred_at"][19:].lstrip(".0123456789") for event in sent} == {"Z", "+02:00", "-04:00"}


def test_simulate__everything_that_can_happen_happens(events: list[Event]) -> None:
    """Each type of event, each kind of actor and each platform occurs, in every channel."""
    assert {event.event_type for event in events} == set(EventType)
    assert {event.actor_kind for event in events} == set(ActorKind)
    assert {event.platform for event in events} == {"discord", "telegram", "irc"}
    channels = {(platform, channel) for platform, names in TEXT_CHANNELS.items() for channel in names}
    channels |= {("discord", channel) for channel in VOICE_CHANNELS}
    assert {(event.platform, event.channel_id) for event in events if event.channel_id} == channels


def test_simulate__ids_look_like_those_of_the_platform(events: list[Event]) -> None:
    """Discord's accounts are snowflakes, Telegram's are numbers, and on IRC one reads a nick."""
    members = {(event.platform, event.member_id) for event in events}
    assert all(name.isdecimal() and len(name) >= 17 for platform, name in members if platform == "discord")
    assert all(name.isdecimal() and len(name) <= 10 for platform, name in members if platform == "telegram")
    assert all(name.replace("_", "").isalpha() for platform, name in members if platform == "irc")


def test_messages__each_has_an_id_and_a_length(events: list[Event]) -> None:
    """No two messages share an id in one channel, and none carries its text."""
    messages = of_type(events, EventType.MESSAGE_SENT)
    ids = {(m.platform, m.channel_id, m.object_id) for m in messages if m.object_id}
    assert len(ids) == len(messages)
    assert all(message.metadata.keys() == {"length"} and message.metadata["length"] > 0 for message in messages)


def test_messages__few_people_write_most_of_them(events: list[Event]) -> None:
    """The tenth of the people that writes most sends more than a third of all messages."""
    owners = owner_of_account()
    written = Counter(owners[m.platform, m.member_id].name for m in user_messages(events))
    assert len(written) == 120
    assert sum(n for _, n in written.most_common(12)) > sum(written.values()) / 3


def test_messages__people_sleep_where_they_live(events: list[Event]) -> None:
    """Between three and five o'clock by their own clocks people in Berlin and in New York are silent."""
    owners = owner_of_account()
    written = [(owners[m.platform, m.member_id].zone, m.occurred_at) for m in user_messages(events)]
    assert {zone.key for zone, _ in written} == {"Europe/Berlin", "America/New_York"}
    assert not [at for zone, at in written if at.astimezone(zone).hour in {3, 4}]
    assert {at.astimezone(BERLIN).hour for _, at in written} == set(range(24))


def test_messages__weekends_begin_later(events: list[Event]) -> None:
    """A smaller part of a weekend's messages is written before nine in the morning than of a weekday's."""
    owners = owner_of_account()
    early: defaultdict[bool, list[bool]] = defaultdict(list)
    for message in user_messages(events):
        local = message.occurred_at.astimezone(owners[message.platform, message.member_id].zone)
        early[local.weekday() >= 5].append(5 <= local.hour < 9)
    assert sum(early[True]) / len(early[True]) < 0.5 * sum(early[False]) / len(early[False])


def test_messages__best_day_has_several_times_as_many(events: list[Event]) -> None:
    """On the day of the festival more than twice as much is written as on any other, thrice as on most."""
    written = Counter(m.occurred_at.astimezone(BERLIN).date() for m in user_messages(events))
    (first, most), (_, second) = written.most_common(2)
    assert first == best_day(21, ENDS)
    assert most > 2 * second
    assert most > 3 * median(written.values())


@pytest.mark.parametrize(
    ("days", "ends", "best"),
    [
        (21, date(2024, 6, 12), date(2024, 6, 8)),
        (21, date(2024, 6, 8), date(2024, 6, 8)),
        (5, date(2024, 6, 12), date(2024, 6, 8)),
        (4, date(2024, 6, 12), date(2024, 6, 12)),
        (1, date(2024, 6, 7), date(2024, 6, 7)),
    ],
)
def test_best_day__is_the_last_saturday_if_there_is_one(days: int, ends: date, best: date) -> None:
    """The festival is on the last Saturday that is played, or else on the last day."""
    assert best_day(days, ends) == best


def test_people__some_arrive_some_return_some_fall_silent(events: list[Event]) -> None:
    """By the best day the digest has newcomers, people back after two weeks, and regulars who went quiet."""
    written = days_of_writing(events)
    arrived = [p for p in people() if p.arrives is not None]
    assert len(arrived) == 5
    assert all(min(written[p.name]) >= p.arrives for p in arrived if p.arrives is not None)
    before = {name: {day for day in days if day < 0} for name, days in written.items()}
    assert [name for name in before if max(before[name], default=0) <= -14 and 0 in written[name]]
    assert [name for name in before if max(written[name]) == -7 and len(written[name] - set(range(-99, -13))) > 2]
    joined = {(e.platform, e.member_id) for e in of_type(events, EventType.MEMBER_JOINED)}
    assert {account[:2] for p in arrived for account in p.accounts} <= joined


def test_people__a_few_have_several_accounts_that_all_write(events: list[Event]) -> None:
    """Everybody writes, a few people from three platforms, and no two share an account or a name."""
    writing = {(m.platform, m.member_id) for m in user_messages(events)}
    accounts = [account[:2] for person in people() for account in person.accounts]
    assert sorted(accounts) == sorted(writing)
    assert sorted(len(person.accounts) for person in people())[-9:] == [1, *[3] * 8]
    assert len({person.person_id for person in people()}) == 120


def test_reactions__are_given_to_messages_sent_before(events: list[Event]) -> None:
    """A reaction names a message that exists, its channel and its author."""
    messages = {(m.platform, m.channel_id, m.object_id): m for m in of_type(events, EventType.MESSAGE_SENT)}
    reactions = of_type(events, EventType.REACTION_ADDED, EventType.REACTION_REMOVED)
    for reaction in reactions:
        message = messages[reaction.platform, reaction.channel_id, reaction.object_id]
        assert reaction.object_author_id == message.member_id
        assert message.occurred_at <= reaction.occurred_at
        assert reaction.metadata["emoji"]


def test_reactions__some_are_taken_back_and_some_of_them_given_again(events: list[Event]) -> None:
    """There are reactions whose last word is the removal, and such as were given again after it."""
    histories: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for event in of_type(events, EventType.REACTION_ADDED, EventType.REACTION_REMOVED):
        key = (event.platform, event.member_id, event.channel_id, event.object_id, event.metadata["emoji"])
        histories[key].append(event.event_type.removeprefix("REACTION_"))
    told = Counter(" ".join(history) for history in histories.values())
    assert told["ADDED"] > 10_000
    assert told["ADDED REMOVED"] > 500
    assert told["ADDED REMOVED ADDED"] > 300


def test_voice__bots_see_moves_and_miss_leaves(events: list[Event]) -> None:
    """Voice is on Discord only, with sightings, moves at one time, and joins that follow a join."""
    voice = of_type(events, EventType.VOICE_JOINED, EventType.VOICE_PRESENT, EventType.VOICE_LEFT)
    stays: defaultdict[str, list[Event]] = defaultdict(list)
    for event in voice:
        stays[event.member_id].append(event)
    pairs = [pair for stay in stays.values() for pair in pairwise(stay)]
    told = Counter((a.event_type, b.event_type) for a, b in pairs)
    assert {event.platform for event in voice} == {"discord"}
    assert told[EventType.VOICE_JOINED, EventType.VOICE_PRESENT] > 100
    assert told[EventType.VOICE_PRESENT, EventType.VOICE_PRESENT] > 100
    assert told[EventType.VOICE_JOINED, EventType.VOICE_JOINED] > 5
    assert told[EventType.VOICE_PRESENT, EventType.VOICE_JOINED] > 5
    moves = [(a, b) for a, b in pairs if a.occurred_at == b.occurred_at]
    assert len(moves) > 20
    assert {(a.event_type, b.event_type) for a, b in moves} == {(EventType.VOICE_LEFT, EventType.VOICE_JOINED)}
    assert all(a.channel_id != b.channel_id for a, b in moves)


def test_simulate__a_short_play_of_few_people_works() -> None:
    """One day of two people is a play as well, if a small one."""
    assert list(islice(simulate(days=1, members=2, ends=ENDS), 1))


def test_names__tell_every_account_and_channel() -> None:
    """Everybody and every channel has a name that a worker keeps, and two members are called the same."""
    told = [decode_name(each) for each in names(datetime(2024, 5, 22, tzinfo=UTC), datetime(2024, 6, 12, tzinfo=UTC))]
    accounts = {(each.platform, each.id): each for each in told if isinstance(each, AccountName)}
    assert accounts.keys() == owner_of_account().keys()
    channels = {(each.platform, each.id) for each in told if isinstance(each, ChannelName)}
    assert channels == {(platform, channel) for platform, ids in CHANNELS.items() for channel in ids}
    assert {each.platform for each in told if isinstance(each, SpaceName)} == {"discord", "telegram"}
    assert all(clean(each.name) == each.name for each in told)
    assert sum(each.name == "Robin" for each in accounts.values()) == 2
    assert len(CHOSEN) == 4
    assert len(told) <= LONGEST
