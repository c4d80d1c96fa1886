"""Communities that are grouped into one: every row equals a computation from scratch, whatever happened before."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from participation import message
from participation.accounts import Account
from participation.errors import ConfigError, Unavailable
from participation.event import decode
from participation.highlights.compute import compute_day
from participation.ingest.flush import store_elements
from participation.notices.presence import Presence
from participation.store.communities import deleted, deletion, grouping, presence
from participation.store.communities import settings as communities
from participation.store.database import transaction
from participation.store.days import due
from participation.store.members import links
from tests import reference, rows, strategies
from tests.conftest import empty
from tests.integration.test_names import account, notice, tell
from tests.rows import event, put

IDS: Final = ("deck", "pier", "quay")
Parts = dict[str, str]


def execute(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        found = connection.execute(text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


def group(engine: Engine, community: str, *ids: str) -> list[grouping.Replaced]:
    with transaction(engine) as connection:
        return grouping.group(connection, community, ids)


def ungroup(engine: Engine, *ids: str) -> list[str]:
    with transaction(engine) as connection:
        return grouping.ungroup(connection, ids)


def compute(engine: Engine) -> None:
    """Compute everything that is due."""
    with transaction(engine) as connection:
        for day in due.list_due(connection):
            compute_day(connection, *day)


def totals(engine: Engine) -> dict[str, int]:
    """The messages of each community over all computed days."""
    query = "SELECT community_id, sum(message_count) FROM community_daily_highlights GROUP BY 1"
    return {name: int(count) for name, count in execute(engine, query)}


# ---- what is counted ----


def test_group__days_of_all_parts_count_as_one(engine: Engine) -> None:
    """Grouping recomputes the days of the community and removes those of the parts; ungrouping undoes it."""
    put(engine, [event(community_id=each, object_id=each) for each in ("deck", "pier")])
    compute(engine)
    assert totals(engine) == {"deck": 1, "pier": 1}
    group(engine, "harbour", "deck", "pier")
    assert totals(engine) == {}
    compute(engine)
    assert totals(engine) == {"harbour": 2}
    put(engine, [event(community_id="pier", object_id="late"), event(community_id="harbour", object_id="own")])
    compute(engine)
    assert totals(engine) == {"harbour": 4}
    assert ungroup(engine, "pier") == ["harbour"]
    compute(engine)
    assert totals(engine) == {"harbour": 2, "pier": 2}
    assert ungroup(engine, "deck") == ["harbour"]
    compute(engine)
    assert totals(engine) == {"deck": 1, "harbour": 1, "pier": 2}


def test_group__before_any_event(engine: Engine) -> None:
    """Bots never hear of it: their first events already count for the community."""
    group(engine, "harbour", "deck", "pier")
    put(engine, [event(community_id="deck")])
    compute(engine)
    assert totals(engine) == {"harbour": 1}


def test_group__community_with_parts_takes_them_along(engine: Engine) -> None:
    """There is one level of parts only; grouping again changes nothing."""
    group(engine, "harbour", "deck", "pier")
    group(engine, "port", "harbour", "quay")
    group(engine, "port", "harbour")
    found = execute(engine, "SELECT part_id, community_id FROM community_parts ORDER BY 1")
    assert found == [(each, "port") for each in ("deck", "harbour", "pier", "quay")]


def test_group__settings_are_those_of_the_first_part(engine: Engine) -> None:
    """A new community takes them over; an existing one keeps its own; what is not in force any more is returned."""
    with transaction(engine) as connection:
        communities.configure(connection, "deck", "Europe/Berlin", "The Deck")
        communities.configure(connection, "pier", "Asia/Tokyo", None)
    replaced = group(engine, "harbour", "deck", "pier", "quay")
    assert [(each.community_id, each.timezone) for each in replaced] == [("pier", "Asia/Tokyo")]
    with transaction(engine) as connection:
        (found,) = communities.list_communities(connection)
    assert (found.name, found.timezone, found.parts) == ("The Deck", "Europe/Berlin", ("deck", "pier", "quay"))
    assert [each.community_id for each in group(engine, "harbour", "deck")] == []
    ungroup(engine, "pier")
    with transaction(engine) as connection:
        zones = {each.community_id: each.timezone for each in communities.list_communities(connection)}
    assert zones == {"harbour": "Europe/Berlin", "pier": "Asia/Tokyo"}


@pytest.mark.parametrize(
    ("community", "ids", "says"),
    [
        ("harbour", (), "no part is given"),
        ("harbour", ("harbour",), "'harbour' cannot be a part of itself"),
        ("port", ("deck",), "'deck' is a part of 'harbour': run `participation communities ungroup deck` first"),
        ("deck", ("quay",), "'deck' is a part of 'harbour': group into 'harbour' instead"),
        ("deck", ("harbour",), "'deck' is a part of 'harbour'"),
        ("port", ("quay", "x" * 256), "community_id: must be a string of 1–255 characters"),
    ],
)
def test_group__refuses_and_changes_nothing(engine: Engine, community: str, ids: tuple[str, ...], says: str) -> None:
    """A part elsewhere, a community in itself, a ring: one clear error, and everything stays as it was."""
    group(engine, "harbour", "deck")
    before = execute(engine, "SELECT * FROM community_parts"), execute(engine, "SELECT * FROM communities")
    with pytest.raises((ConfigError, ValueError), match=says):
        group(engine, community, *ids)
    assert (execute(engine, "SELECT * FROM community_parts"), execute(engine, "SELECT * FROM communities")) == before


def test_ungroup__id_that_is_no_part_is_refused(engine: Engine) -> None:
    group(engine, "harbour", "deck", "pier")
    with pytest.raises(ConfigError, match="'quay' is not a part of a community"):
        ungroup(engine, "deck", "quay")
    assert len(execute(engine, "SELECT FROM community_parts")) == 2


def test_configure__part_is_refused(engine: Engine) -> None:
    """Its settings are not in force, so setting them would mislead."""
    group(engine, "harbour", "deck")
    with (
        pytest.raises(ConfigError, match="'deck' is a part of 'harbour', whose settings are in force"),
        transaction(engine) as connection,
    ):
        communities.configure(connection, "deck", "Asia/Tokyo", None)


def test_group__same_event_under_two_parts_counts_once(engine: Engine) -> None:
    """Two bots that call the same guild differently; the events stay stored under both ids."""
    seen = [event(channel_id=channel, object_id="1") for channel in ("c1", None)]
    put(engine, [{**each, "community_id": name} for each in seen for name in ("deck", "pier")])
    put(
        engine,
        [event(community_id="pier", channel_id="c1", object_id="2"), event(community_id="deck", member_id="bob")],
    )
    group(engine, "harbour", "deck", "pier")
    compute(engine)
    assert totals(engine) == {"harbour": 4}
    assert execute(engine, "SELECT count(*) FROM participation_events") == [(6,)]


def test_group__bot_known_in_one_part_receives_nothing_in_another(engine: Engine) -> None:
    """Knowledge about accounts is kept by part, and counts for the community; also after ungrouping."""
    given = {"event_type": "REACTION_ADDED", "object_id": "m", "object_author_id": "robot"}
    put(engine, [event(community_id="deck", **given), event(community_id="pier", member_id="robot", actor_kind="bot")])
    compute(engine)
    received = "SELECT member_id FROM member_daily_highlights WHERE reactions_received > 0"
    assert execute(engine, received) == [("irc:robot",)]
    group(engine, "harbour", "deck", "pier")
    compute(engine)
    assert execute(engine, received) == []
    ungroup(engine, "pier")
    compute(engine)
    assert execute(engine, received) == [("irc:robot",)]


def moved(**values: Any) -> dict[str, Any]:
    """Return the name of a supergroup that was a group before."""
    common = {"kind": "space", "platform": "telegram", "community_id": "telegram:-100", "id": "-100", "former_id": "-1"}
    return account(**{**common, **values})


@pytest.mark.parametrize("sender", ["telegram:-100", "telegram:-1"])
def test_space__with_a_former_id_is_grouped_once(engine: Engine, sender: str) -> None:
    """A group that became a supergroup stays one community, whoever tells it; an operator may undo it."""
    with transaction(engine) as connection:
        communities.configure(connection, "telegram:-1", "Asia/Tokyo", "Band")
    # A later name without the former id, in the same batch, does not hide it.
    later = moved(community_id=sender, name="Band", seen_at="2026-03-10T13:00:00Z")
    tell(engine, later, moved(community_id=sender), {**later, "former_id": None})
    with transaction(engine) as connection:
        (found,) = communities.list_communities(connection)
    assert (found.community_id, found.name, found.parts) == ("telegram:-1", "Band", ("telegram:-100",))
    ungroup(engine, "telegram:-100")
    assert grouping.group_moved_spaces(engine) == []
    assert execute(engine, "SELECT FROM community_parts") == []


def test_space__with_a_former_id_joins_the_group_of_the_old_one(engine: Engine) -> None:
    """The old group is a part already. A community that its author named has no default ids to group."""
    group(engine, "harbour", "telegram:-1")
    tell(engine, moved(), moved(community_id="chosen", id="-200", former_id="-2"))
    found = execute(engine, "SELECT part_id, community_id FROM community_parts ORDER BY 1")
    assert found == [("telegram:-1", "harbour"), ("telegram:-100", "harbour")]


# ---- random histories ----


def _once(events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Leave out events that a part with a lower id has, too, equal in everything but the community."""
    parts: defaultdict[tuple[object, ...], set[str]] = defaultdict(set)
    users = [each for each in events if each["actor_kind"] == "user"]
    for each in users:
        parts[_identity(each)].add(each["community_id"])
    for each in events:
        if each["actor_kind"] != "user" or each["community_id"] == min(parts[_identity(each)]):
            yield each


def _identity(each: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("platform", "channel_id", "member_id", "event_type", "object_id", "occurred_at")
    return (*(each[name] for name in names), repr(each["metadata"].get("emoji")))


@st.composite
def histories(draw: st.DrawFn) -> tuple[strategies.Community, list[tuple[Any, ...]]]:
    """Draw a community whose events are spread over three ids, some under two of them, and steps to take with it."""
    drawn = draw(strategies.communities())
    spread = [{**each, "community_id": draw(st.sampled_from(IDS))} for each in drawn.events]
    twice = [{**each, "community_id": draw(st.sampled_from(IDS))} for each in spread if draw(st.integers(0, 3)) == 0]
    events = draw(st.permutations([*spread, *twice]))
    ids = st.sampled_from((*IDS, "harbour"))
    steps: list[tuple[Any, ...]] = [("put", part) for part in (events[0::3], events[1::3], events[2::3])]
    steps += draw(
        st.lists(
            st.one_of(
                st.tuples(st.just("group"), ids, st.lists(ids, min_size=1, max_size=2)),
                st.tuples(st.just("ungroup"), ids),
                st.tuples(st.just("zone"), ids, st.sampled_from([zone for zone, _ in strategies.PLACES])),
                st.tuples(st.just("link"), st.sampled_from(sorted(drawn.persons) or [("irc", "9")])),
                st.tuples(st.just("compute")),
            ),
            max_size=10,
        )
    )
    return drawn, draw(st.permutations(steps))


def _take(
    engine: Engine, drawn: strategies.Community, persons: dict[tuple[str, str], str], step: tuple[Any, ...]
) -> None:
    match step:
        case ("put", events):
            put(engine, events)
        case ("group", community, ids):
            group(engine, community, *ids)
        case ("ungroup", part):
            ungroup(engine, part)
        case ("zone", community, zone):
            with transaction(engine) as connection:
                communities.configure(connection, community, zone, None)
        case ("link", owner):
            person = drawn.persons.get(owner, "ada")
            with transaction(engine) as connection:
                links.link(connection, person, [Account(*owner)])
            persons[owner] = person
        case ("compute",):
            compute(engine)


@hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(history=histories())
def test_parts__every_row_equals_a_computation_from_scratch(
    engine: Engine, history: tuple[strategies.Community, list[tuple[Any, ...]]]
) -> None:
    """Grouping and ungrouping in random orders, with late events, duplicates, links and zones between."""
    drawn, steps = history
    persons: dict[tuple[str, str], str] = {}
    try:
        for step in steps:
            with suppress(ConfigError):
                _take(engine, drawn, persons, step)
        compute(engine)
        _compare(engine, drawn, persons, [each for step in steps if step[0] == "put" for each in step[1]])
    finally:
        empty(engine)


def _compare(
    engine: Engine, drawn: strategies.Community, persons: dict[tuple[str, str], str], events: list[dict[str, Any]]
) -> None:
    parts: Parts = dict(execute(engine, "SELECT part_id, community_id FROM community_parts"))
    zones = dict(execute(engine, "SELECT community_id, timezone FROM communities"))
    stored = list({(each["community_id"], rows_key(each)): each for each in map(_decoded, events)}.values())
    computed_ids = {name for (name,) in execute(engine, "SELECT DISTINCT community_id FROM member_daily_highlights")}
    assert computed_ids.isdisjoint(parts)
    for community in {parts.get(each["community_id"], each["community_id"]) for each in stored}:
        own = [each for each in stored if parts.get(each["community_id"], each["community_id"]) == community]
        counted = [{**each, "community_id": community} for each in _once(own)]
        known = {(each["platform"], each["member_id"]) for each in own if each["actor_kind"] != "user"}
        for day in (drawn.day + timedelta(days=n) for n in range(-3, 4)):
            with transaction(engine) as connection:
                found = rows.highlights(connection, community, day)
            zone = zones[community]
            assert found == reference.highlights(counted, community, day, zone, persons, others=known), (community, day)


def _decoded(each: dict[str, Any]) -> dict[str, Any]:
    return decode(each).model_dump()


def rows_key(each: Mapping[str, Any]) -> tuple[object, ...]:
    given_id = each.get("event_id")
    return (given_id, each["occurred_at"]) if given_id else (*_identity(each),)


# ---- under load, killed, deleted ----


def test_group__while_events_come(engine: Engine) -> None:
    """Grouping and ungrouping between batches that are being stored loses and doubles nothing."""

    def store(number: int) -> None:
        elements = [
            message.encode(event(community_id=IDS[n % 3], object_id=f"{number} {n}", member_id=str(n % 7)))
            for n in range(60)
        ]
        store_elements(engine, uuid4().hex, elements)

    with ThreadPoolExecutor(4) as pool:
        stored = [pool.submit(store, number) for number in range(24)]
        for _ in range(4):
            group(engine, "harbour", *IDS)
            compute(engine)
            ungroup(engine, IDS[0])
        for each in stored:
            each.result()
    compute(engine)
    assert totals(engine) == {"deck": 480, "harbour": 960}


def test_group__killed_before_the_commit_changes_nothing(engine: Engine) -> None:
    """It is one transaction, so that starting it again is all there is to do."""
    put(engine, [event(community_id="deck")])
    compute(engine)
    with suppress(ZeroDivisionError), transaction(engine) as connection:
        grouping.group(connection, "harbour", ["deck"])
        raise ZeroDivisionError
    assert totals(engine) == {"deck": 1}
    assert execute(engine, "SELECT FROM community_parts") == []
    group(engine, "harbour", "deck")
    compute(engine)
    assert totals(engine) == {"harbour": 1}


def delete(engine: Engine, community: str) -> list[str]:
    with transaction(engine) as connection:
        return deleted.begin(connection, community)


def test_delete__nothing_is_left_and_nothing_earlier_comes_back(engine: Engine) -> None:
    """Events, names, letters and replays from before are discarded and counted; later events make it anew."""
    before = [event(community_id=each, object_id=each) for each in ("deck", "pier", "other")]
    put(engine, before)
    letter = message.encode({**event(community_id="pier"), "member_id": 7})
    store_elements(engine, uuid4().hex, [letter, notice(account(community_id="deck"))])
    group(engine, "harbour", "deck", "pier")
    compute(engine)
    assert delete(engine, "harbour") == ["harbour", "deck", "pier"]
    assert totals(engine) == {"other": 1}
    assert deleted.finish(engine) == 2
    assert execute(engine, "SELECT community_id FROM participation_events") == [("other",)]
    for table in ("communities", "account_names", "dead_letters", "community_parts"):
        found = execute(engine, f"SELECT * FROM {table}")
        assert [row[0] for row in found] == (["other"] if table == "communities" else [])

    counts = store_elements(
        engine,
        uuid4().hex,
        [letter, notice(account(community_id="deck"), account(community_id="other")), *map(message.encode, before)],
    )
    assert counts is not None
    assert (counts.received, counts.duplicates, counts.deleted, counts.notices) == (1, 1, 4, 1)
    assert execute(engine, "SELECT deleted FROM ingest_batches ORDER BY stored_at DESC LIMIT 1") == [(4,)]
    assert execute(engine, "SELECT community_id FROM communities") == [("other",)]
    later = datetime.now(UTC).isoformat()
    put(engine, [*before, event(community_id="deck", occurred_at=later)])
    assert execute(engine, "SELECT community_id FROM communities ORDER BY 1") == [("deck",), ("other",)]
    assert execute(engine, "SELECT count(*) FROM participation_events WHERE community_id = 'deck'") == [(1,)]


def test_delete__killed_in_the_middle_is_finished_by_the_next(engine: Engine) -> None:
    """After the first transaction nothing is shown and nothing comes back; the rest is done by the next run."""
    put(engine, [event(community_id="deck", occurred_at=f"2026-0{n}-10T12:00:00Z") for n in range(1, 6)])
    delete(engine, "deck")

    def kill(_done: int, _steps: int) -> None:
        if len(execute(engine, "SELECT FROM participation_events")) == 3:
            raise InterruptedError

    with suppress(InterruptedError):
        deleted.finish(engine, kill)
    assert 0 < len(execute(engine, "SELECT FROM participation_events")) < 5
    assert delete(engine, "deck") == ["deck"]
    deleted.finish(engine)
    assert execute(engine, "SELECT FROM participation_events") == []
    with transaction(engine) as connection:
        assert deleted.unfinished(connection) == []
    with pytest.raises(ConfigError, match="unknown community 'deck'"):
        delete(engine, "deck")


def test_delete__part_is_refused(engine: Engine) -> None:
    group(engine, "harbour", "deck")
    with pytest.raises(
        ConfigError, match="'deck' is a part of 'harbour': run `participation communities ungroup deck`"
    ):
        delete(engine, "deck")


def test_delete__while_events_come(engine: Engine) -> None:
    """Batches with earlier events, before, during and after the deletion, leave nothing of it behind."""
    put(engine, [event(community_id="deck", object_id=str(n)) for n in range(50)])

    def store(number: int) -> None:
        elements = [message.encode(event(community_id="deck", object_id=f"{number} {n}")) for n in range(50)]
        batch = uuid4().hex
        while True:
            with suppress(Unavailable):
                store_elements(engine, batch, elements)
                return

    with ThreadPoolExecutor(3) as pool:
        stored = [pool.submit(store, number) for number in range(12)]
        delete(engine, "deck")
        deleted.finish(engine)
        for each in stored:
            each.result()
    assert execute(engine, "SELECT FROM participation_events") == []
    assert execute(engine, "SELECT FROM communities") == []
    ((counted,),) = execute(engine, "SELECT sum(stored + deleted) FROM ingest_batches")
    assert counted == 650


def test_removed_bot__leaves_the_other_parts_alone(engine: Engine) -> None:
    """The bot of one part was removed: the data of that part goes, and the community's days are computed again."""
    put(engine, [event(community_id=each, object_id=each) for each in ("deck", "harbour")])
    group(engine, "harbour", "deck")
    tell(engine, account(community_id="deck"), account(community_id="harbour"))
    compute(engine)
    removed_at = datetime.now(UTC) - timedelta(days=40)
    with transaction(engine) as connection:
        presence.store_presence(connection, Presence("harbour", "irc", False, removed_at, "1"))
    assert [(each.community_id, each.is_whole) for each in deletion.delete_due(engine, 30)] == [("harbour", False)]
    compute(engine)
    assert totals(engine) == {"harbour": 1}
    assert execute(engine, "SELECT community_id FROM account_names") == [("deck",)]
