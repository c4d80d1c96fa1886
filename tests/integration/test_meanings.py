"""The fixed meaning of every figure, in cases counted by hand: of the nightly computation and of the oracle."""

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

from participation.accounts import Account
from participation.highlights.compute import compute_day
from participation.store.communities import settings
from participation.store.database import transaction
from participation.store.members import links
from tests import rows
from tests.reference import CommunityRow, MemberRow, highlights
from tests.strategies import COMMUNITY

DAY = date(2024, 5, 14)
NOBODY = MemberRow(0, 0, 0, 0, 0, 0)


def event(event_type: str, clock: str, **fields: Any) -> dict[str, Any]:
    """A row of `participation_events`; a clock without a date is on the day under test."""
    at = datetime.fromisoformat(clock if "T" in clock else f"{DAY}T{clock}")
    return {
        "community_id": COMMUNITY,
        "platform": "discord",
        "event_type": event_type,
        "channel_id": "deck",
        "member_id": "ada",
        "object_id": None,
        "object_author_id": None,
        "actor_kind": "user",
        "metadata": {},
        "occurred_at": at if at.tzinfo else at.replace(tzinfo=UTC),
        **fields,
    }


def voice(*observations: str, **fields: Any) -> list[dict[str, Any]]:
    """Voice events from "JOINED 10:00" and the like."""
    return [event(f"VOICE_{kind}", clock, **fields) for kind, clock in map(str.split, observations)]


def reaction(kind: str, clock: str, **fields: Any) -> dict[str, Any]:
    message = {"object_id": "m1", "object_author_id": "grace", "metadata": {"emoji": "👍"}}
    return event(f"REACTION_{kind}", clock, **{**message, **fields})


Highlights = tuple[dict[str, MemberRow], CommunityRow | None]
Persons = dict[tuple[str, str], str]
Computer = Callable[[list[dict[str, Any]], date, str, Persons], Highlights]


@pytest.fixture(autouse=True, params=["oracle", "postgresql"])
def _computer(request: pytest.FixtureRequest) -> Iterator[None]:
    chosen: Computer = by_the_oracle
    if request.param == "postgresql":
        chosen = partial(by_postgresql, request.getfixturevalue("engine"))
    token = computer.set(chosen)
    yield
    computer.reset(token)


def by_the_oracle(events: list[dict[str, Any]], day: date, zone: str, persons: Persons) -> Highlights:
    return highlights(events, COMMUNITY, day, zone, persons)


computer: ContextVar[Computer] = ContextVar("computer")
"""What counts in this test: the oracle, or the worker's way into PostgreSQL and the nightly computation there."""


def by_postgresql(engine: Engine, events: list[dict[str, Any]], day: date, zone: str, persons: Persons) -> Highlights:
    # Each has an id of its own: cases may differ in what is no part of the identity.
    rows.put(engine, [{**e, "event_id": str(UUID(int=n))} for n, e in enumerate(events)])
    with transaction(engine) as connection:
        settings.configure(connection, COMMUNITY, zone, None)
        for account, person in persons.items():
            links.link(connection, person, [Account(*account)])
        compute_day(connection, COMMUNITY, day)
        return rows.highlights(connection, COMMUNITY, day)


def count(events: Iterable[dict[str, Any]], day: date = DAY, zone: str = "UTC", **links: str) -> Highlights:
    """Count a day; a link is written platform_account="person"."""
    persons = {(platform, name): who for key, who in links.items() for platform, name in [key.split("_")]}
    return computer.get()(list(events), day, zone, persons)


def ada(events: Iterable[dict[str, Any]], day: date = DAY, zone: str = "UTC", **links: str) -> MemberRow:
    return count(events, day, zone, **links)[0].get("discord:ada", NOBODY)


def test_highlights__whole_day_gives_every_column() -> None:
    """A small day with one of everything gives exactly the rows that were worked out on paper."""
    members, community = count(
        [
            event("MEMBER_JOINED", "07:59"),
            event("MESSAGE_SENT", "08:00", object_id="m1"),
            event("MESSAGE_SENT", "08:30", object_id="m2"),
            event("MESSAGE_SENT", "21:10", object_id="m3", member_id="grace"),
            reaction("ADDED", "21:30", object_id="m3"),
            *voice("JOINED 09:50", "LEFT 10:20", "JOINED 11:00", "LEFT 11:05"),
            event("MEMBER_LEFT", "23:00", member_id="alan"),
            event("MEMBER_LEFT", "23:01", member_id="alan"),
        ]
    )
    assert members == {
        "discord:ada": MemberRow(2, 1, 0, 35, 5, 2 + 1 + 35 // 5),
        "discord:grace": MemberRow(1, 0, 1, 0, 1, 1 + 2),
    }
    assert community == CommunityRow(2, 3, 1, 35, 1, 1, peak_hour=8)


def test_highlights__reputation_stops_at_its_limits() -> None:
    """Above 50 messages, 20 reactions, 50 received and 120 minutes nothing is added: 50 + 20 + 100 + 24."""
    events = [event("MESSAGE_SENT", "08:00", object_id=str(n)) for n in range(60)]
    events += [reaction("ADDED", "08:00", object_id=str(n)) for n in range(30)]
    events += [
        reaction("ADDED", "08:00", object_id=str(n), member_id="grace", object_author_id="ada") for n in range(60)
    ]
    events += voice("JOINED 08:00", "LEFT 10:05")
    assert ada(events) == MemberRow(60, 30, 60, 125, 3, 194)


def test_highlights__nothing_happened_gives_no_rows() -> None:
    """What bots do, what happens elsewhere and what happens on other days makes no row at all."""
    events = [
        event("MESSAGE_SENT", "08:00", actor_kind="bot"),
        event("MESSAGE_SENT", "08:00", actor_kind="webhook"),
        event("MESSAGE_SENT", "08:00", actor_kind="anonymous"),
        event("MESSAGE_SENT", "08:00", community_id="elsewhere"),
        event("MESSAGE_SENT", "2024-05-13T23:59:59.999999"),
        event("MESSAGE_SENT", "2024-05-15T00:00"),
    ]
    assert count(events) == ({}, None)


def test_highlights__uncounted_event_gives_a_community_row_of_zeros() -> None:
    """A day on which somebody was seen and nothing can be counted is a day without activity."""
    assert count(voice("LEFT 08:00")) == ({}, CommunityRow(0, 0, 0, 0, 0, 0, None))


def test_highlights__peak_hour_is_the_earliest_of_the_busiest() -> None:
    """Of two hours with as many messages and reactions the earlier is the peak."""
    events = [
        event("MESSAGE_SENT", "20:00", object_id="m1"),
        event("MESSAGE_SENT", "20:01", object_id="m2"),
        event("MESSAGE_SENT", "09:00", object_id="m3"),
        reaction("ADDED", "09:30"),
        reaction("REMOVED", "07:00", object_id="m9"),
    ]
    community = count(events)[1]
    assert community is not None
    assert community.peak_hour == 9


def test_highlights__joining_twice_is_one_person() -> None:
    """Two linked accounts that join are one person who joined; bots that join are nobody."""
    events = [
        event("MEMBER_JOINED", "08:00"),
        event("MEMBER_JOINED", "09:00", platform="irc"),
        event("MEMBER_JOINED", "09:00", member_id="helper", actor_kind="bot"),
    ]
    community = count(events, discord_ada="Ada", irc_ada="Ada")[1]
    assert community == CommunityRow(0, 0, 0, 0, 1, 0, None)


@pytest.mark.parametrize(
    ("observations", "minutes"),
    [
        pytest.param("JOINED 10:00, LEFT 10:30", 30, id="join and leave"),
        pytest.param("JOINED 10:00, PRESENT 10:20, LEFT 10:30", 30, id="seen in between"),
        pytest.param("PRESENT 10:00, PRESENT 10:30", 30, id="seen twice"),
        pytest.param("JOINED 10:00, JOINED 10:30", 0, id="double join"),
        pytest.param("JOINED 10:00, JOINED 10:30, LEFT 10:40", 10, id="double join and leave"),
        pytest.param("PRESENT 10:00, JOINED 10:30", 0, id="joined again unseen"),
        pytest.param("LEFT 10:30", 0, id="orphan leave"),
        pytest.param("JOINED 10:00, LEFT 10:10, LEFT 10:30", 10, id="double leave"),
        pytest.param("LEFT 10:00, PRESENT 10:30", 0, id="seen after leaving"),
        pytest.param("JOINED 10:00", 0, id="never seen again"),
        pytest.param("JOINED 10:00, LEFT 22:00", 720, id="exactly 12 hours"),
        pytest.param("JOINED 10:00, LEFT 22:00:00.000001", 0, id="12 hours and a microsecond"),
        pytest.param("JOINED 02:00, PRESENT 12:00, LEFT 22:00", 1200, id="20 hours, seen in between"),
        pytest.param("JOINED 10:00, LEFT 10:00:59.999999", 0, id="under a minute"),
        pytest.param("JOINED 10:00, LEFT 10:00:45, JOINED 11:00, LEFT 11:00:15", 1, id="seconds add up"),
        pytest.param("JOINED 10:00, LEFT 10:20, PRESENT 10:20, JOINED 10:20, LEFT 10:30", 30, id="move"),
        pytest.param("JOINED 09:30, JOINED 10:00, PRESENT 10:00, LEFT 10:30", 60, id="present before join"),
        pytest.param("JOINED 10:00, LEFT 10:00, LEFT 10:30", 30, id="leave before join"),
        pytest.param("JOINED 2024-05-13T23:00, LEFT 01:00", 60, id="over midnight, the second part"),
        pytest.param("JOINED 23:00, LEFT 2024-05-15T01:00", 60, id="over midnight, the first part"),
    ],
)
def test_voice__credits_what_two_observations_enclose(observations: str, minutes: int) -> None:
    """An interval between two sightings of at most 12 hours is credited, in whichever order they arrive."""
    events = voice(*observations.split(", "))
    assert ada(events).voice_minutes == minutes
    assert ada(reversed(events)).voice_minutes == minutes


def test_voice__double_join_credits_nothing() -> None:
    """A join that is followed by a join and nothing else gives no row."""
    assert count(voice("JOINED 10:00", "JOINED 11:00"))[0] == {}


def test_voice__over_midnight_counts_on_both_days() -> None:
    """An evening that lasts past midnight gives each day its own part."""
    events = voice("JOINED 23:15", "LEFT 2024-05-15T00:50")
    assert ada(events) == MemberRow(0, 0, 0, 45, 1, 9)
    assert ada(events, DAY + timedelta(days=1)) == MemberRow(0, 0, 0, 50, 1, 10)


def test_voice__move_at_one_time_loses_nothing() -> None:
    """At one time the old channel is left before the member is seen in, and has joined, the new one."""
    here, there = voice("JOINED 10:00", "LEFT 10:20"), voice("JOINED 10:20", "LEFT 10:50", channel_id="quay")
    assert ada([*there, *here]).voice_minutes == 50
    seen = voice("PRESENT 10:20", channel_id="quay")
    assert ada([*seen, *there, *here]).voice_minutes == 50


def test_voice__linked_accounts_at_once_count_once() -> None:
    """Who is in voice from 10:00 to 10:30 and with another account to 10:50 was there for 50 minutes."""
    events = [
        *voice("JOINED 10:00", "LEFT 10:30"),
        *voice("JOINED 10:20", "LEFT 10:50", platform="telegram"),
        *voice("JOINED 10:05", "LEFT 10:06", platform="irc"),
    ]
    members, community = count(events, discord_ada="Ada", telegram_ada="Ada", irc_ada="Ada")
    assert members == {"Ada": MemberRow(0, 0, 0, 50, 1, 10)}
    assert community == CommunityRow(1, 0, 0, 50, 0, 0, None)


def test_voice__observations_of_linked_accounts_are_not_mixed() -> None:
    """One account's join and another's leave enclose nothing, though one person owns both."""
    events = [*voice("JOINED 10:00"), *voice("LEFT 10:30", platform="telegram")]
    assert count(events, discord_ada="Ada", telegram_ada="Ada")[0] == {}


def test_voice__bots_observation_does_not_part_an_interval() -> None:
    """Only what a user does is an observation: a bot's event in between is as if it were not there."""
    events = [*voice("JOINED 10:00", "LEFT 10:30"), *voice("JOINED 10:10", actor_kind="bot")]
    assert ada(events).voice_minutes == 30


def test_voice__other_community_is_another_room() -> None:
    """An account's voice events in another community neither credit nor part anything here."""
    events = [*voice("JOINED 10:00", "LEFT 10:30"), *voice("JOINED 10:10", community_id="elsewhere")]
    assert ada(events).voice_minutes == 30


def test_voice__under_a_minute_alone_gives_no_row_but_its_hour_counts() -> None:
    """Some seconds of voice give no row by themselves; beside a message they make an hour active."""
    moment = voice("JOINED 10:00", "LEFT 10:00:30")
    assert count(moment)[0] == {}
    assert ada([*moment, event("MESSAGE_SENT", "15:00")]) == MemberRow(1, 0, 0, 0, 2, 1)


def test_voice__an_end_at_the_full_hour_does_not_begin_the_next() -> None:
    """Hours are half-open: from 09:59 to 11:00 the hours 9 and 10 were active."""
    assert ada(voice("JOINED 09:59", "LEFT 11:00")).active_hours == 2


def test_day__of_23_hours_holds_23_hours_of_voice() -> None:
    """Voice all through the night of the spring change in Berlin is 23 hours long, in 23 clock hours."""
    events = voice(
        "JOINED 2024-03-30T20:00+01:00",
        "PRESENT 2024-03-31T06:00+02:00",
        "PRESENT 2024-03-31T16:00+02:00",
        "LEFT 2024-04-01T02:00+02:00",
    )
    assert ada(events, date(2024, 3, 31), "Europe/Berlin") == MemberRow(0, 0, 0, 23 * 60, 23, 24)


def test_day__of_25_hours_has_24_clock_hours() -> None:
    """Voice all through the day of the autumn change in Berlin is 25 hours long, in 24 clock hours."""
    events = voice(
        "JOINED 2024-10-26T20:00+02:00",
        "PRESENT 2024-10-27T06:00+01:00",
        "PRESENT 2024-10-27T16:00+01:00",
        "LEFT 2024-10-28T02:00+01:00",
    )
    assert ada(events, date(2024, 10, 27), "Europe/Berlin") == MemberRow(0, 0, 0, 25 * 60, 24, 24)


def test_day__the_hour_that_comes_twice_is_one_active_hour() -> None:
    """02:30 in summer time and 02:30 in winter time are two messages in one clock hour."""
    events = [
        event("MESSAGE_SENT", "2024-10-27T02:30+02:00", object_id="m1"),
        event("MESSAGE_SENT", "2024-10-27T02:30+01:00", object_id="m2"),
    ]
    assert ada(events, date(2024, 10, 27), "Europe/Berlin") == MemberRow(2, 0, 0, 0, 1, 2)


@pytest.mark.parametrize(
    ("zone", "clock", "day"),
    [
        ("Europe/Berlin", "2024-05-13T22:00", date(2024, 5, 14)),
        ("Europe/Berlin", "2024-05-13T21:59:59.999999", date(2024, 5, 13)),
        ("Asia/Kathmandu", "2024-05-13T18:15", date(2024, 5, 14)),
        ("America/Sao_Paulo", "2018-11-04T02:59:59", date(2018, 11, 3)),
        ("America/Sao_Paulo", "2018-11-04T03:00", date(2018, 11, 4)),
        ("America/Havana", "2018-11-04T04:00", date(2018, 11, 4)),
        ("America/St_Johns", "2010-11-07T02:30:59", date(2010, 11, 7)),
        ("America/St_Johns", "2010-11-07T02:31", date(2010, 11, 6)),
        ("Pacific/Apia", "2011-12-30T09:59:59", date(2011, 12, 29)),
        ("Pacific/Apia", "2011-12-30T10:00", date(2011, 12, 31)),
    ],
)
def test_day__is_the_local_date_of_the_moment(zone: str, clock: str, day: date) -> None:
    """A message counts on the date that the zone's calendar showed, and on no day beside it."""
    events = [event("MESSAGE_SENT", clock)]
    counted = [d for n in range(-2, 3) if count(events, d := day + timedelta(days=n), zone)[1]]
    assert counted == [day]


def test_reaction__taken_back_does_not_count() -> None:
    """A reaction that was taken back later on the day was never given."""
    assert count([reaction("ADDED", "10:00"), reaction("REMOVED", "10:01")])[0] == {}


def test_reaction__taken_back_and_given_again_counts_once_at_its_last_hour() -> None:
    """Given, taken back and given again is one reaction, in the hour in which it was last given."""
    events = [reaction("ADDED", "10:00"), reaction("REMOVED", "11:00"), reaction("ADDED", "12:00")]
    members, community = count(events)
    assert members == {
        "discord:ada": MemberRow(0, 1, 0, 0, 1, 1),
        "discord:grace": MemberRow(0, 0, 1, 0, 0, 2),
    }
    assert community == CommunityRow(1, 0, 1, 0, 0, 0, peak_hour=12)


def test_reaction__at_equal_times_the_removal_is_later() -> None:
    """Added and removed at one time is removed, in whichever order they arrive."""
    events = [reaction("ADDED", "10:00"), reaction("REMOVED", "10:00")]
    assert count(events)[0] == count(reversed(events))[0] == {}


def test_reaction__taken_back_on_another_day_still_counts_on_its_own() -> None:
    """Only the reaction events of the day itself decide what stands at its end."""
    assert ada([reaction("ADDED", "10:00"), reaction("REMOVED", "2024-05-15T00:00")]).reaction_count == 1


def test_reaction__each_emoji_object_channel_and_account_counts() -> None:
    """Reactions are one only if account, channel, object and emoji agree; none is an emoji like any other."""
    events = [
        reaction("ADDED", "10:00"),
        reaction("ADDED", "10:01"),
        reaction("ADDED", "10:00", metadata={"emoji": "🎉"}),
        reaction("ADDED", "10:00", metadata={}),
        reaction("ADDED", "10:01", metadata={"emoji": None}),
        reaction("ADDED", "10:00", object_id="m2"),
        reaction("ADDED", "10:00", channel_id=None),
        reaction("ADDED", "10:00", platform="irc"),
        reaction("ADDED", "10:00", metadata={"emoji": 1}),
        reaction("ADDED", "10:01", metadata={"emoji": "1"}),
    ]
    members = count(events, discord_ada="Ada", irc_ada="Ada")[0]
    assert members["Ada"].reaction_count == 7


def test_reaction__without_object_counts_by_itself() -> None:
    """Where the platform does not tell what was reacted to, each adding counts and a removal does nothing."""
    events = [
        reaction("ADDED", "10:00", object_id=None),
        reaction("ADDED", "10:01", object_id=None),
        reaction("REMOVED", "10:02", object_id=None),
    ]
    members = count(events)[0]
    assert members["discord:ada"].reaction_count == 2
    assert members["discord:grace"].reactions_received == 2


def test_reaction__to_oneself_is_given_and_not_received() -> None:
    """A member who reacts to a message of their own has reacted; nobody has received."""
    assert ada([reaction("ADDED", "10:00", object_author_id="ada")]) == MemberRow(0, 1, 0, 0, 1, 1)


def test_reaction__of_a_linked_account_to_ones_own_message_is_not_received() -> None:
    """Two accounts of one person are one person: what they give each other is not received."""
    events = [reaction("ADDED", "10:00")]
    assert count(events, discord_ada="Ada", discord_grace="Ada")[0] == {"Ada": MemberRow(0, 1, 0, 0, 1, 1)}


def test_reaction__author_is_an_account_of_the_same_platform() -> None:
    """What is given on IRC goes to the author's IRC account."""
    assert set(count([reaction("ADDED", "10:00", platform="irc")])[0]) == {"irc:ada", "irc:grace"}


def test_reaction__goes_to_the_author_named_last() -> None:
    """The last adding names the author; of several at one time the one with the greatest name does."""
    events = [
        reaction("ADDED", "10:00", object_author_id="zoe"),
        reaction("ADDED", "10:01", object_author_id="alan"),
        reaction("ADDED", "10:01", object_author_id="grace"),
        reaction("ADDED", "10:01", object_author_id=None),
    ]
    assert set(count(events)[0]) == {"discord:ada", "discord:grace"}


@pytest.mark.parametrize("kind", ["bot", "webhook", "anonymous"])
@pytest.mark.parametrize("clock", ["09:00", "2023-01-01T09:00", "2024-11-01T09:00"])
def test_reaction__to_an_account_that_is_no_user_is_given_and_not_received(kind: str, clock: str) -> None:
    """Whenever an event shows that the author is something else than a user, it receives nothing on any day."""
    events = [reaction("ADDED", "10:00"), event("MESSAGE_SENT", clock, member_id="grace", actor_kind=kind)]
    members, community = count(events)
    assert members == {"discord:ada": MemberRow(0, 1, 0, 0, 1, 1)}
    assert community == CommunityRow(1, 0, 1, 0, 0, 0, peak_hour=10)


@pytest.mark.parametrize("elsewhere", [{"community_id": "elsewhere"}, {"platform": "irc"}, {"actor_kind": "user"}])
def test_reaction__to_an_account_that_is_no_user_elsewhere_is_received(elsewhere: dict[str, str]) -> None:
    """What an account is in another community, or one with its id on another platform, says nothing here."""
    bot = event("VOICE_JOINED", "09:00", **{"member_id": "grace", "actor_kind": "bot", **elsewhere})
    assert count([reaction("ADDED", "10:00"), bot])[0]["discord:grace"].reactions_received == 1


def test_reaction__to_a_bot_that_is_linked_to_a_person_is_not_received() -> None:
    """The rule is of the account: what the person's own account receives counts."""
    events = [
        reaction("ADDED", "10:00"),
        reaction("ADDED", "10:00", platform="irc"),
        event("MESSAGE_SENT", "09:00", member_id="grace", actor_kind="bot"),
    ]
    assert count(events, discord_grace="Grace", irc_grace="Grace")[0]["Grace"].reactions_received == 1


def test_reaction__to_a_bot_that_was_named_last_is_received_by_nobody() -> None:
    """The author named last is the author, whoever was named before."""
    events = [
        reaction("ADDED", "10:00", object_author_id="zoe"),
        reaction("ADDED", "10:01"),
        event("MESSAGE_SENT", "09:00", member_id="grace", actor_kind="bot"),
    ]
    assert set(count(events)[0]) == {"discord:ada"}


def test_reaction__receiving_alone_is_a_row_without_activity() -> None:
    """Who only receives has a row, and is not among the active."""
    members, community = count([reaction("ADDED", "10:00")])
    assert members["discord:grace"] == MemberRow(0, 0, 1, 0, 0, 2)
    assert community is not None
    assert community.active_members == 1
