"""What makes days due, and what is read from the days that were computed."""

import random
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text

from participation.accounts import Account
from participation.errors import ConfigError
from participation.highlights import digest
from participation.highlights.compute import compute_day
from participation.store.communities import settings
from participation.store.communities.settings import Community
from participation.store.database import transaction
from participation.store.days import digests, due
from participation.store.members import links
from tests import reference
from tests.rows import event, highlights, put

DAY = date(2026, 3, 10)


def compute(engine: Engine) -> list[str]:
    """Compute what is due, as Beat's tasks do; return the days."""
    with transaction(engine) as connection:
        days = due.list_due(connection)
        for day in days:
            compute_day(connection, *day)
    return [str(day.highlight_date) for day in days]


def set_zone(engine: Engine, zone: str) -> bool:
    with transaction(engine) as connection:
        return settings.configure(connection, "c", zone, None)


def days(engine: Engine) -> dict[str, int]:
    """Messages of each computed day."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT highlight_date, message_count FROM community_daily_highlights"))
        return {str(day): count for day, count in rows}


def messages(*moments: str, **values: Any) -> list[dict[str, Any]]:
    return [event(occurred_at=moment, object_id=moment, **values) for moment in moments]


def test_due__only_days_that_have_closed(engine: Engine) -> None:
    """The day that still runs in the community's zone is left alone; yesterday is due."""
    now = datetime.now(UTC)
    put(engine, messages(*[(now - timedelta(days=n)).isoformat() for n in (0, 2)]))
    assert compute(engine) == [f"{now - timedelta(days=2):%Y-%m-%d}"]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM due_days")) == 1


def test_due__late_event_makes_its_day_due_again(engine: Engine) -> None:
    """A day is computed when it has closed, again when an event comes late, and not otherwise."""
    put(engine, messages("2026-03-10T12:00:00Z"))
    assert compute(engine) == ["2026-03-10"]
    assert compute(engine) == []
    put(engine, messages("2026-03-10T13:00:00Z"))
    assert compute(engine) == ["2026-03-10"]
    assert days(engine) == {"2026-03-10": 2}


@pytest.mark.parametrize("repeat", [False, True])
def test_due__clock_set_back_past_midnight_makes_the_day_due_that_it_shows(engine: Engine, repeat: bool) -> None:
    """A minute after midnight it was yesterday again: within one quarter of an hour lie both days."""
    set_zone(engine, "America/St_Johns")
    late = messages("2010-11-07T02:31:00Z")
    put(engine, late * 2 if repeat else late)
    assert compute(engine) == ["2010-11-06"]
    put(engine, messages("2010-11-07T02:30:59Z"))
    assert compute(engine) == ["2010-11-07"]
    assert days(engine) == {"2010-11-06": 1, "2010-11-07": 1}


def test_due__event_that_arrives_during_the_computation_is_not_forgotten(engine: Engine) -> None:
    """A mark that the computation does not see survives it."""
    put(engine, messages("2026-03-10T12:00:00Z"))
    with transaction(engine) as connection:
        compute_day(connection, "c", DAY)
        put(engine, messages("2026-03-10T13:00:00Z"))
    assert compute(engine) == ["2026-03-10"]
    assert days(engine) == {"2026-03-10": 2}


def test_compact__keeps_a_mark_that_a_running_computation_has_not_seen(engine: Engine) -> None:
    """A mark that is older by its number and committed later is not taken for one that a newer mark stands for."""
    mark = text("INSERT INTO due_days (community_id, highlight_date) VALUES ('c', '2026-03-10')")
    put(engine, messages("2026-03-10T12:00:00Z"))
    compute(engine)
    with engine.connect() as slow, transaction(engine) as computing:
        slow.execute(mark)
        with engine.begin() as quick:
            quick.execute(mark)
        compute_day(computing, "c", DAY)
        slow.commit()
        with transaction(engine) as other:
            due.compact_marks(other)
    assert compute(engine) == ["2026-03-10"]


def test_compute_day__twice_changes_nothing(engine: Engine) -> None:
    """A day can be rebuilt at any time to the same rows."""
    put(engine, messages("2026-03-10T12:00:00Z", "2026-03-10T13:00:00Z"))
    results = []
    for _ in range(2):
        with transaction(engine) as connection:
            assert compute_day(connection, "c", DAY)
            results.append(highlights(connection, "c", DAY))
    assert results[0] == results[1]
    assert results[0][1] is not None


def test_compute_day__unknown_community_is_told(engine: Engine) -> None:
    """There is nothing to compute for a community that nobody has seen."""
    with transaction(engine) as connection:
        assert not compute_day(connection, "nobody", DAY)


def test_configure__another_zone_makes_every_day_due(engine: Engine) -> None:
    """Each event moves to the day it has in the new zone; days that are empty then disappear; and back again."""
    put(engine, messages("2026-03-10T02:00:00Z", "2026-03-10T20:00:00Z", "2026-06-01T12:00:00Z"))
    compute(engine)
    first = days(engine)
    assert first == {"2026-03-10": 2, "2026-06-01": 1}
    assert set_zone(engine, "America/New_York")
    assert compute(engine) == ["2026-03-09", "2026-03-10", "2026-06-01"]
    assert days(engine) == {"2026-03-09": 1, "2026-03-10": 1, "2026-06-01": 1}
    assert set_zone(engine, "Asia/Tokyo")
    compute(engine)
    assert days(engine) == {"2026-03-10": 1, "2026-03-11": 1, "2026-06-01": 1}
    assert set_zone(engine, "UTC")
    compute(engine)
    assert days(engine) == first
    assert not set_zone(engine, "UTC")
    assert compute(engine) == []


def test_configure__day_that_has_not_ended_in_the_new_zone_is_gone(engine: Engine) -> None:
    """What was yesterday on Kiritimati is today or tomorrow in Pago Pago, whose clock is 25 hours behind."""
    set_zone(engine, "Pacific/Kiritimati")
    yesterday = datetime.now(ZoneInfo("Pacific/Kiritimati")).date() - timedelta(days=1)
    noon = datetime.combine(yesterday, time(12), ZoneInfo("Pacific/Kiritimati"))
    put(engine, messages(*[(noon - timedelta(days=n)).isoformat() for n in (0, 5)]))
    compute(engine)
    assert str(yesterday) in days(engine)
    set_zone(engine, "Pacific/Pago_Pago")
    today = datetime.now(ZoneInfo("Pacific/Pago_Pago")).date()
    with transaction(engine) as connection:
        rows = connection.scalar(text("SELECT max(highlight_date) FROM member_daily_highlights"))
        assert rows == digests.last_ended_day(connection, "c") == yesterday - timedelta(days=5)
        assert due.is_due(connection, "c", yesterday)
    assert max(compute(engine)) < str(today)
    set_zone(engine, "Pacific/Kiritimati")
    compute(engine)
    assert str(yesterday) in days(engine)


def test_last_ended_day__is_not_one_that_still_runs(engine: Engine) -> None:
    """A day can be computed before it has ended, and is not the one to show then."""
    now = datetime.now(UTC)
    put(engine, messages(*[(now - timedelta(days=n)).isoformat() for n in (0, 3)]))
    with transaction(engine) as connection:
        assert digests.last_ended_day(connection, "c") is None
        for n in (0, 3):
            compute_day(connection, "c", (now - timedelta(days=n)).date())
        assert digests.last_ended_day(connection, "c") == (now - timedelta(days=3)).date()


def test_configure__finds_events_around_a_midnight_that_comes_twice(engine: Engine) -> None:
    """In Havana the first hour of a day comes twice; an event in either makes the day due."""
    put(engine, messages("2018-11-03T12:00:00Z", "2018-11-04T04:30:00Z"))
    compute(engine)
    set_zone(engine, "America/Havana")
    assert compute(engine) == ["2018-11-03", "2018-11-04"]
    assert days(engine) == {"2018-11-03": 1, "2018-11-04": 1}


def test_configure__unknown_zone_is_refused_with_a_suggestion(engine: Engine) -> None:
    """A misspelt zone changes nothing, and the text names what may have been meant."""
    for zone, says in (("Europ/Berlin", "did you mean Europe/Berlin"), ("???", "use an IANA name")):
        with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
            set_zone(engine, zone)


def test_configure__name_and_zone_can_be_set_apart(engine: Engine) -> None:
    """What is not given stays as it is, also before the first event."""
    with transaction(engine) as connection:
        settings.configure(connection, "c", "Asia/Tokyo", None)
        settings.configure(connection, "c", None, "The Harbour")
        (row,) = settings.list_communities(connection)
    assert row == Community("c", "The Harbour", "Asia/Tokyo", (), 0, None)


def test_link__accounts_become_one_person_on_every_day(engine: Engine) -> None:
    """Days on which a linked account wrote, or was reacted to, become due and count the person; and back again."""
    put(
        engine,
        [
            *messages("2026-03-10T12:00:00Z"),
            *messages("2026-03-11T12:00:00Z", platform="discord", member_id="42"),
            *messages("2026-03-12T12:00:00Z", member_id="bob"),
            event(
                event_type="REACTION_ADDED",
                member_id="bob",
                occurred_at="2026-03-13T12:00:00Z",
                object_id="m",
                object_author_id="ada",
            ),
        ],
    )
    compute(engine)
    accounts = [Account("irc", "ada"), Account("discord", "42")]
    with transaction(engine) as connection:
        assert links.link(connection, "Ada", accounts) == 2
        assert links.link(connection, "Ada", accounts) == 0
    assert compute(engine) == ["2026-03-10", "2026-03-11", "2026-03-13"]
    assert persons(engine) == [("Ada",), ("Ada",), ("irc:bob",), ("Ada", "irc:bob")]
    with transaction(engine) as connection:
        assert links.unlink(connection, accounts[:1]) == 1
        assert links.unlink(connection, accounts[:1]) == 0
    assert compute(engine) == ["2026-03-10", "2026-03-13"]
    assert persons(engine) == [("irc:ada",), ("Ada",), ("irc:bob",), ("irc:ada", "irc:bob")]


def persons(engine: Engine) -> list[tuple[str, ...]]:
    """The persons of each computed day."""
    query = "SELECT array_agg(member_id ORDER BY member_id) FROM member_daily_highlights GROUP BY highlight_date"
    with engine.connect() as connection:
        return [tuple(row[0]) for row in connection.execute(text(f"{query} ORDER BY highlight_date"))]


def active(*dates: int, member_id: str) -> list[dict[str, Any]]:
    """One message on each of the days so many days before the tenth of March."""
    return messages(*[f"{DAY - timedelta(days=n)}T12:00:00Z" for n in dates], member_id=member_id)


def at_noon(zone: str, day: date, member_id: str) -> dict[str, Any]:
    """One message at noon of a local day; noon of a date that the zone skipped is a moment of the day before."""
    noon = datetime.combine(day, time(12), ZoneInfo(zone)).astimezone(UTC)
    return event(occurred_at=noon.isoformat(), object_id=f"{day}", member_id=member_id)


def local_date(zone: str, message: dict[str, Any]) -> date:
    return datetime.fromisoformat(message["occurred_at"]).astimezone(ZoneInfo(zone)).date()


def test_digest__tells_the_story_of_each_member(engine: Engine) -> None:
    """Streaks, newcomers, those who came back and those who went quiet follow from the days before."""
    put(
        engine,
        [
            *active(0, 1, 2, 4, member_id="streak"),
            *active(0, member_id="new"),
            *active(0, 14, member_id="back"),
            *active(0, 13, member_id="not-away-long-enough"),
            *active(7, 9, 13, member_id="quiet"),
            *active(7, 9, member_id="only-twice"),
            *active(6, 7, 8, 9, member_id="still-there"),
            *active(-1, -2, member_id="streak"),
        ],
    )
    compute(engine)
    with transaction(engine) as connection:
        read = digest.read_digest(connection, "c", DAY)
    story = {m.member_id: (m.streak_days, m.newcomer, m.returned) for m in read.members}
    assert story == {
        "irc:streak": (3, False, False),
        "irc:new": (1, True, False),
        "irc:back": (1, False, True),
        "irc:not-away-long-enough": (1, False, False),
    }
    assert [m.member_id for m in read.gone_quiet] == ["irc:quiet"]


@pytest.mark.parametrize("zone", ["Pacific/Apia", "Pacific/Fakaofo"])
def test_digest__date_that_the_zone_skipped_breaks_no_streak(engine: Engine, zone: str) -> None:
    """From Christmas to the fourth of January are eleven dates, and ten days where the 30th never was."""
    set_zone(engine, zone)
    put(engine, [at_noon(zone, date(2011, 12, 25) + timedelta(days=n), "streak") for n in range(11)])
    compute(engine)
    with transaction(engine) as connection:
        (member,) = digest.read_digest(connection, "c", date(2012, 1, 4)).members
    assert member.streak_days == 10


@pytest.mark.parametrize("zone", ["Pacific/Apia", "Pacific/Fakaofo", "Pacific/Pago_Pago"])
def test_digest__counts_days_as_the_reference_does(engine: Engine, zone: str) -> None:
    """Whoever was away, or quiet, over the date that two of these zones skipped was so for one day less."""
    set_zone(engine, zone)
    all_dates = [date(2011, 12, 1) + timedelta(days=n) for n in range(52)]
    chance = random.Random(3)
    drawn = {f"m{n}": [d for d in all_dates if chance.random() < n % 10 / 10] for n in range(5, 40)}
    events = {who: [at_noon(zone, d, who) for d in chosen] for who, chosen in drawn.items()}
    ever = {who: {local_date(zone, each) for each in sent} for who, sent in events.items() if sent}
    put(engine, [each for sent in events.values() for each in sent])
    compute(engine)
    for day in sorted({next(reference.days_back(each, zone)) for each in all_dates[-26:]}):
        with transaction(engine) as connection:
            read = digest.read_digest(connection, "c", day)
        told = {f"irc:{who}": reference.story(days_of, day, zone) for who, days_of in ever.items()}
        assert {m.member_id: (m.streak_days, m.newcomer, m.returned) for m in read.members} == {
            who: (story.streak_days, story.newcomer, story.returned) for who, story in told.items() if story.streak_days
        }
        assert {m.member_id for m in read.gone_quiet} == {who for who, story in told.items() if story.gone_quiet}


def test_digest__usual_takes_the_week_before_a_skipped_date(engine: Engine) -> None:
    """The Friday after the Friday that never was is compared with the four Fridays before that one."""
    set_zone(engine, "Pacific/Apia")
    day = date(2012, 1, 6)
    before = reference.same_weekdays(day, "Pacific/Apia")
    assert before == [date(2011, 12, n) for n in (23, 16, 9, 2)]
    put(engine, [at_noon("Pacific/Apia", each, "ada") for each in (*before, day, date(2011, 11, 25))])
    compute(engine)
    with transaction(engine) as connection:
        usual = digest.read_digest(connection, "c", day).usual
    assert usual is not None
    assert usual.weeks == 4


def test_digest__receiving_alone_is_no_activity(engine: Engine) -> None:
    """Who only received is in the list, and neither new nor in a streak."""
    received = event(event_type="REACTION_ADDED", object_id="m", object_author_id="grace")
    put(engine, [received])
    compute(engine)
    with transaction(engine) as connection:
        members_ = {m.member_id: m for m in digest.read_digest(connection, "c", DAY).members}
    grace = members_["irc:grace"]
    assert (grace.reactions_received, grace.streak_days, grace.newcomer) == (1, 0, False)


def test_digest__usual_is_the_median_of_the_same_weekday(engine: Engine) -> None:
    """Of the four weeks before, the days that exist count; other weekdays and older ones do not."""
    for weeks, count in ((0, 9), (1, 4), (2, 1), (4, 3), (5, 100)):
        moments = [f"{DAY - timedelta(weeks=weeks)}T12:00:{second:02}Z" for second in range(count)]
        put(engine, messages(*moments))
    put(engine, messages("2026-03-09T12:00:00Z"))
    compute(engine)
    with transaction(engine) as connection:
        read = digest.read_digest(connection, "c", DAY)
        assert digests.best_day(connection, "c") == DAY - timedelta(weeks=5)
        assert digests.computed_days(connection, "c", DAY - timedelta(days=1), DAY) == [date(2026, 3, 9), DAY]
    assert read.message_count == 9
    assert read.usual is not None
    assert astuple(read.usual) == (3, 1, 3, 0, 0)


def test_digest__day_without_events_is_empty(engine: Engine) -> None:
    """A day on which nothing was counted reads as such."""
    put(engine, [event()])
    with transaction(engine) as connection:
        read = digest.read_digest(connection, "c", date(2026, 1, 1))
        assert digests.best_day(connection, "c") is None
    assert (read.computed_at, read.members, read.usual, read.active_members) == (None, [], None, 0)


def test_between__gives_the_days_that_hold_events_or_rows(engine: Engine) -> None:
    """A span of years costs as many looks as there are days with events."""
    put(engine, messages("2004-11-15T12:00:00Z", "2026-03-10T23:59:59Z", "2026-03-11T00:00:00Z"))
    with transaction(engine) as connection:
        found = due.days_between(connection, "c", date(2000, 1, 1), DAY)
        assert [day.highlight_date for day in found] == [date(2004, 11, 15), DAY]
        later = due.days_between(connection, "c", DAY, date(2100, 1, 1))
    assert dates(later) == ["2026-03-10", "2026-03-11"]


def test_between__does_not_depend_on_the_zone_of_the_session(engine: Engine) -> None:
    """The first hour of the first day is found from the other end of the world, too."""
    set_zone(engine, "Pacific/Kiritimati")
    put(engine, messages("2026-03-10T00:30:00+14:00"))
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL timezone = 'Pacific/Pago_Pago'"))
        assert dates(due.days_between(connection, "c", DAY, DAY)) == ["2026-03-10"]


def dates(found: Sequence[due.Day]) -> list[str]:
    return [str(day.highlight_date) for day in found]
