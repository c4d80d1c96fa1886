"""Options of communities: what they change in the figures, when they are changed, and what is refused."""

import json
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Connection, Engine, text

from participation import message
from participation.accounts import Account
from participation.errors import ConfigError
from participation.event import decode
from participation.highlights.compute import compute_day
from participation.highlights.digest import Digest, read_digest
from participation.highlights.summary import summarize
from participation.ingest.flush import store_elements
from participation.store import options
from participation.store.communities import options_change
from participation.store.communities.options_change import Change
from participation.store.communities.settings import configure
from participation.store.database import connect, transaction
from participation.store.days import due
from participation.store.ingest.batches import Counts
from participation.store.members import links, requests
from tests import reference, rows, strategies
from tests.commands import run
from tests.conftest import empty
from tests.integration.test_names import account, notice
from tests.rows import event, put

Above = dict[tuple[str, str], tuple[str | None, str | None]]


def set_options(connection: Connection, community_id: str, settings: dict[str, Any]) -> None:
    options.write(connection, community_id, options.decode(settings))


def tell_channels(connection: Connection, community_id: str, above: Above) -> None:
    statement = text("INSERT INTO channel_names VALUES (:c, :platform, :id, 'x', :parent, :category, true, now())")
    for (platform, channel), (parent, category) in above.items():
        values = {"c": community_id, "platform": platform, "id": channel, "parent": parent, "category": category}
        connection.execute(statement, values)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(drawn=strategies.set_up())
def test_compute_day__equals_the_reference_with_any_options(
    engine: Engine, drawn: tuple[strategies.Community, dict[str, Any], Above]
) -> None:
    """Exclusions, the rule of channels, authors from messages, voice alone and reputation, in any combination."""
    community, settings, above = drawn
    try:
        rows.put(engine, community.events)
        with transaction(engine) as connection:
            configure(connection, strategies.COMMUNITY, community.timezone, None)
            for name, person in community.persons.items():
                links.link(connection, person, [Account(*name)])
            set_options(connection, strategies.COMMUNITY, settings)
            tell_channels(connection, strategies.COMMUNITY, above)
            compute_day(connection, strategies.COMMUNITY, community.day)
            computed = rows.highlights(connection, strategies.COMMUNITY, community.day)
            channels = rows.channels(connection, strategies.COMMUNITY, community.day)
        stored = [decode(event).model_dump() for event in community.events]
        arguments = (stored, strategies.COMMUNITY, community.day, community.timezone, community.persons)
        setup = reference.Setup(**settings, above=above)
        assert computed == reference.highlights(*arguments, setup=setup)
        assert channels == reference.channel_rows(*arguments, setup=setup)
    finally:
        empty(engine)


def execute(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        found = connection.execute(text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


def change(engine: Engine, **values: Any) -> bool:
    """Change options of the community `c`: lists are added to, other values are set."""
    add = {name: value for name, value in values.items() if isinstance(value, list)}
    with transaction(engine) as connection:
        rest = {name: value for name, value in values.items() if name not in add}
        return options_change.change(connection, "c", Change(add, {}, rest))


def remove(engine: Engine, **lists: list[str]) -> bool:
    with transaction(engine) as connection:
        return options_change.change(connection, "c", Change({}, lists, {}))


def compute(engine: Engine) -> None:
    """Compute everything that is due."""
    with transaction(engine) as connection:
        for day in due.list_due(connection):
            compute_day(connection, *day)


def members(engine: Engine, column: str) -> dict[str, int]:
    query = f"SELECT member_id, sum({column}) FROM member_daily_highlights WHERE community_id = 'c' GROUP BY 1"
    return {name: int(value) for name, value in execute(engine, query) if value}


def channels(engine: Engine, column: str = "message_count") -> dict[str, int]:
    found = execute(engine, f"SELECT channel_id, sum({column}) FROM channel_daily_highlights GROUP BY 1")
    return {name: int(value) for name, value in found if value}


# ---- what a change does ----


def test_change__excluded_member_is_recomputed_with_all_accounts(engine: Engine) -> None:
    """Excluding, linking and including again each make all days due that come out differently."""
    put(engine, [event(member_id=name, object_id=name) for name in ("ada", "bob", "cleo")])
    compute(engine)
    assert change(engine, excluded_members=["irc:ada"])
    compute(engine)
    assert members(engine, "message_count") == {"irc:bob": 1, "irc:cleo": 1}
    with transaction(engine) as connection:
        links.link(connection, "grace", [Account("irc", "ada"), Account("irc", "bob")])
    compute(engine)
    assert members(engine, "message_count") == {"irc:cleo": 1}
    with transaction(engine) as connection:
        links.unlink(connection, [Account("irc", "ada")])
    compute(engine)
    assert members(engine, "message_count") == {"grace": 1, "irc:cleo": 1}
    assert remove(engine, excluded_members=["irc:ada"])
    compute(engine)
    assert members(engine, "message_count") == {"grace": 1, "irc:ada": 1, "irc:cleo": 1}


def test_change__excluded_category_excludes_channels_and_threads(engine: Engine) -> None:
    """What names tell to be below an excluded category is excluded, too."""
    put(
        engine,
        [
            event(platform="discord", channel_id="thread", object_id="1", metadata={"parent_id": "quay"}),
            event(platform="discord", channel_id="quay", object_id="2"),
            event(platform="discord", channel_id="deck", object_id="3"),
        ],
    )
    compute(engine)
    assert channels(engine) == {"quay": 2, "deck": 1}
    with transaction(engine) as connection:
        tell_channels(connection, "c", {("discord", "quay"): (None, "port")})
    assert change(engine, excluded_channels=["discord:port"])
    compute(engine)
    assert channels(engine) == {"deck": 1}
    assert remove(engine, excluded_channels=["discord:port"])
    compute(engine)
    assert channels(engine) == {"quay": 2, "deck": 1}


def test_change__without_effect_on_days_marks_nothing(engine: Engine) -> None:
    """Ignoring deletes nothing older, and voice alone matters from version 2 of reputation on."""
    put(engine, [event(channel_id="#deck")])
    compute(engine)
    assert not change(engine, ignored_channels=["irc:#deck"], voice_alone=True)
    assert not change(engine, reputation=1)
    assert execute(engine, "SELECT FROM due_days") == []
    assert change(engine, reputation={"version": 2, "message_weight": 2.5})
    compute(engine)
    assert members(engine, "reputation_earned") == {"irc:ada": 2}
    assert execute(engine, "SELECT rules_version FROM community_daily_highlights") == [(2,)]
    assert change(engine, reputation="off")
    compute(engine)
    assert members(engine, "reputation_earned") == {}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"colour": 1}, "colour: is not a field"),
        (
            {"reputation": {"version": 2, "message_weight": float("nan")}},
            "reputation.message_weight: must be a number from 0",
        ),
        ({"reputation": {"version": 2, "message_weight": -1}}, "reputation.message_weight: must be a number from 0"),
        ({"reputation": {"version": 3}}, "reputation.version: must be 2"),
        ({"reputation": True}, 'reputation: must be "off", 1, or'),
        ({"voice_alone": 1}, "voice_alone: must be true or false"),
        ({"excluded_channels": ["deck"]}, "excluded_channels: must be a list of at most 500 channels"),
        ({"excluded_channels": ["irc:#dekc"]}, r"'irc:#dekc' is not a channel .*: did you mean irc:#deck\?"),
        ({"excluded_members": ["nobody"]}, "no account is linked to 'nobody'"),
    ],
)
def test_change__refuses_and_changes_nothing(engine: Engine, values: dict[str, Any], says: str) -> None:
    """One clear error names the field and the rule, and the settings stay as they were."""
    put(engine, [event(channel_id="#deck")])
    compute(engine)
    change(engine, voice_alone=True)
    with pytest.raises(ConfigError, match=says):
        change(engine, authors_from_messages=True, **values)
    assert execute(engine, "SELECT settings FROM communities") == [({"voice_alone": True},)]
    assert execute(engine, "SELECT FROM due_days") == []


# ---- ignored channels ----


def test_store__ignored_channels_are_discarded(engine: Engine) -> None:
    """Events, names and readable letters in an ignored channel leave nothing but a count."""
    put(engine, [event(platform="discord", channel_id="quay", object_id="0")])
    change(engine, ignored_channels=["discord:quay"])
    secret = {"platform": "discord", "channel_id": "quay"}
    wrong = event(platform="discord", channel_id="t3", metadata={"parent_id": "quay"}, member_id=7)
    elements = [
        message.encode(event(**secret, object_id="1")),
        message.encode(event(platform="discord", channel_id="t1", object_id="2", metadata={"parent_id": "quay"})),
        message.encode(event(platform="discord", channel_id="t2", object_id="3", metadata={"category_id": "quay"})),
        message.encode(event(platform="discord", channel_id="deck", object_id="4")),
        message.encode(event(community_id="d", **secret, object_id="5")),
        message.encode(wrong),
        message.encode(event(**{**secret, "platform": 7})),
        notice(account(kind="channel", platform="discord", id="quay", name="secret")),
    ]
    counts = store_elements(engine, uuid4().hex, elements)
    assert counts == Counts(received=2, stored=2, ignored=6, notices=1)
    assert execute(engine, "SELECT sum(ignored) FROM ingest_batches") == [(6,)]
    assert execute(engine, "SELECT object_id FROM participation_events ORDER BY 1") == [("0",), ("4",), ("5",)]
    for table in ("dead_letters", "channel_names"):
        assert execute(engine, f"SELECT * FROM {table}") == []
    remove(engine, ignored_channels=["discord:quay"])
    assert put(engine, [event(**secret, object_id="1")]) == Counts(1, 1)


def test_store__ignored_topic(engine: Engine) -> None:
    """A topic in Telegram is ignored alone; messages in no topic are in the topic 1."""
    topics = [event(platform="telegram", channel_id="-100", object_id=str(n), metadata={"topic_id": n}) for n in (5, 6)]
    put(engine, topics)
    change(engine, ignored_channels=["telegram:-100/5", "telegram:-100/1"])
    later = [{**each, "occurred_at": "2026-03-11T12:00:00Z"} for each in topics]
    general = {**later[0], "metadata": {}, "object_id": "g"}
    assert put(engine, [*later, general]) == Counts(1, 1, ignored=2)


# ---- topics and authors of messages ----


def test_compute__reaction_takes_topic_and_author_of_its_message(engine: Engine) -> None:
    """Also if the message is stored after the day of the reaction was computed."""
    chat = {"platform": "telegram", "channel_id": "-100"}
    put(
        engine,
        [
            event(**chat, event_type="REACTION_ADDED", member_id="bob", object_id="1"),
            event(**chat, object_id="2", metadata={"topic_id": 7}, member_id="cleo"),
        ],
    )
    change(engine, authors_from_messages=True)
    compute(engine)
    assert channels(engine, "message_count + reaction_count") == {"-100/1": 1, "-100/7": 1}
    late = event(**chat, object_id="1", metadata={"topic_id": 5}, occurred_at="2026-02-01T12:00:00Z")
    put(engine, [late])
    compute(engine)
    assert channels(engine, "reaction_count") == {"-100/5": 1}
    assert members(engine, "reactions_received") == {"telegram:ada": 1}
    with transaction(engine) as connection:
        links.link(connection, "grace", [Account("telegram", "ada")])
    compute(engine)
    assert members(engine, "reactions_received") == {"grace": 1}


def test_forget__removes_the_member_from_the_excluded(engine: Engine) -> None:
    """The list holds ids of persons, so erasure reaches it."""
    put(engine, [event(object_id="1")])
    change(engine, excluded_members=["irc:ada", "irc:bob"])
    requests.forget(engine, Account("irc", "ada"))
    assert execute(engine, "SELECT settings FROM communities") == [({"excluded_members": ["irc:bob"]},)]


def test_digest__hides_excluded_members_and_channels_at_once(engine: Engine) -> None:
    """Also before the days are computed again; top voice leaves out time alone from version 2 of reputation on."""
    put(
        engine,
        [
            event(
                member_id=name, channel_id="lounge", event_type=f"VOICE_{kind}", occurred_at=f"2026-03-10T{clock}:00Z"
            )
            for name, kind, clock in [
                ("ada", "JOINED", "10:00"),
                ("ada", "LEFT", "11:00"),
                ("bob", "JOINED", "10:50"),
                ("bob", "LEFT", "12:00"),
            ]
        ]
        + [event(member_id="cleo", channel_id="deck")],
    )
    change(engine, reputation={"version": 2})
    compute(engine)
    shown = digest(engine)
    assert [(each.name, each.value) for each in summarize(shown).rankings["voice_minutes"]] == [
        ("irc:ada", 10),
        ("irc:bob", 10),
    ]
    assert members(engine, "voice_minutes") == {"irc:ada": 60, "irc:bob": 70}
    assert members(engine, "reputation_earned") == {"irc:ada": 2, "irc:bob": 2, "irc:cleo": 1}
    assert [each.channel_id for each in shown.channels] == ["lounge", "deck"]
    change(engine, excluded_members=["irc:cleo"], excluded_channels=["irc:lounge"])
    shown = digest(engine)
    assert [each.member_id for each in shown.members] == ["irc:ada", "irc:bob"]
    assert [each.channel_id for each in shown.channels] == ["deck"]


def digest(engine: Engine) -> Digest:
    with transaction(engine) as connection:
        return read_digest(connection, "c", date(2026, 3, 10))


def test_commands__set_and_show(environment: None, database: str) -> None:
    """Every option can be set, removed and shown; JSON has all of them."""
    engine = connect(database)
    put(engine, [event(platform="discord", channel_id="quay")])
    engine.dispose()
    lists = ("--exclude-member", "irc:ada", "--exclude-channel", "discord:quay", "--ignore-channel", "discord:quay")
    flags = ("--reputation", '{"version": 2, "message_cap": 5}', "--authors-from-messages", "--voice-alone")
    assert run("communities", "set", "c", *lists, *flags).stdout == b"c: saved; all its days will be computed again\n"
    shown = json.loads(run("communities", "show", "c", "--json").stdout)
    assert (shown["excluded_members"], shown["ignored_channels"]) == (["irc:ada"], ["discord:quay"])
    assert (shown["reputation"]["message_cap"], shown["voice_alone"]) == (5, True)
    assert b"discord:quay" in run("communities", "show", "c").stdout
    undo = ("--include-member", "irc:ada", "--include-channel", "discord:quay", "--keep-channel", "discord:quay")
    run("communities", "set", "c", *undo, "--reputation", "1", "--no-authors-from-messages", "--no-voice-alone")
    shown = json.loads(run("communities", "show", "c", "--json").stdout)
    assert [shown[name] for name in ("excluded_members", "excluded_channels", "ignored_channels", "reputation")] == [
        [],
        [],
        [],
        1,
    ]
    refused = run("communities", "set", "c", "--exclude-channel", "discord:quya", code=2)
    assert refused.stderr.startswith(b"error: 'discord:quya' is not a channel that an event or a name has told")
