"""Names: from notices in a batch to the tables, in any order, and out of them again when a member asks for it."""

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import orjson
import pytest
from celery import Celery
from jsonschema import Draft202012Validator
from redis import Redis
from sqlalchemy import Engine, text

from participation import keys, message, publish
from participation.errors import InvalidEvent
from participation.ingest.flush import store_elements
from participation.local.valkey import Valkey
from participation.notices import names
from participation.notices.presence import Presence
from participation.publish import Publisher
from participation.store.communities import deletion, presence
from participation.store.communities import names as stored_names
from participation.store.database import connect, transaction
from participation.store.ingest.batches import Counts
from participation.store.members import requests
from tests.rows import event, put
from tests.worker import eventually, running

AT = "2026-03-10T12:00:00Z"
SCHEMA = Path(__file__).parents[2] / "docs" / "names.schema.json"


def account(**values: Any) -> dict[str, Any]:
    """Return a valid name of an account."""
    common = {"kind": "account", "community_id": "c", "platform": "irc", "id": "ada", "name": "Ada", "seen_at": AT}
    return {**common, **values}


def channel(**values: Any) -> dict[str, Any]:
    return account(**{"kind": "channel", "id": "quay", "name": "Quay", **values})


def space(**values: Any) -> dict[str, Any]:
    return account(**{"kind": "space", "id": "net", "name": "Net", **values})


def notice(*entries: object) -> bytes:
    return message.encode_call(keys.NOTE_NAMES, orjson.dumps(entries))


def tell(engine: Engine, *entries: object, keep_names: bool = True) -> Counts:
    """Store a notice as a worker does; return the counts of its batch."""
    counts = store_elements(engine, uuid4().hex, [notice(*entries)], keep_names=keep_names)
    assert counts is not None
    return counts


def rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def accounts(engine: Engine) -> list[tuple[Any, ...]]:
    return rows(engine, "SELECT account_id, name, username FROM account_names ORDER BY 1")


def test_notice__is_stored_with_the_events_of_its_batch(engine: Engine) -> None:
    """Each kind has its table, and the message counts as a notice beside the events."""
    told = [
        account(username="ada.l", joined_at="2024-05-01T09:00:00+02:00"),
        channel(parent_id="harbour", category_id="water", is_public=True),
        space(former_id="old"),
    ]
    counts = store_elements(engine, uuid4().hex, [message.encode(event(object_id="1")), notice(*told)])
    assert counts == Counts(received=1, stored=1, notices=1)
    at = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert rows(engine, "SELECT * FROM account_names") == [
        ("c", "irc", "ada", "Ada", "ada.l", datetime(2024, 5, 1, 7, tzinfo=UTC), at)
    ]
    assert rows(engine, "SELECT * FROM channel_names") == [("c", "irc", "quay", "Quay", "harbour", "water", True, at)]
    assert rows(engine, "SELECT * FROM space_names") == [("c", "irc", "net", "Net", at, "old")]
    assert rows(engine, "SELECT notices FROM ingest_batches") == [(1,)]


def test_notice__latest_wins_in_any_order(engine: Engine) -> None:
    """Four notices, two of one time, in every order and every split into batches, leave the same row."""
    told = [
        account(name="first", username="u", joined_at="2025-01-02T00:00:00Z", seen_at="2026-03-10T12:00:00Z"),
        account(name="second", joined_at="2024-01-01T00:00:00Z", seen_at="2026-03-10T12:00:01Z"),
        account(name="third", username="b", seen_at="2026-03-10T12:00:02Z"),
        account(name="third", username="a", seen_at="2026-03-10T12:00:02Z"),
    ]
    for number, order in enumerate(permutations(told)):
        own = [{**each, "id": str(number)} for each in order]
        for part in (own[: number % 5], own[number % 5 :]):
            tell(engine, *part)
    assert set(rows(engine, "SELECT name, username, joined_at FROM account_names")) == {
        ("third", "b", datetime(2024, 1, 1, tzinfo=UTC))
    }
    assert len(accounts(engine)) == 24


def test_notice__wrong_entry_among_right_ones_is_refused_alone(engine: Engine) -> None:
    """499 names are stored; the wrong one is a dead letter that contains nothing else, and can be replayed."""
    wrong = account(id=7)
    told = [account(id=str(number)) for number in range(names.LONGEST)]
    told[123] = wrong
    assert tell(engine, *told) == Counts(received=1, dead=1, notices=1)
    assert len(accounts(engine)) == names.LONGEST - 1
    ((reason, detail, raw),) = rows(engine, "SELECT reason, detail, raw FROM dead_letters")
    assert reason == "invalid_notice"
    assert detail.startswith("id: must be a string of 1–255 characters")
    assert message.decode(bytes(raw)) == message.Message(
        keys.NOTE_NAMES, [wrong], None, message.decode(bytes(raw)).sent_at
    )


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (5, "name: must be one JSON object"),
        ({}, "kind: must be one of account, channel, space; got None"),
        (account(kind="person"), "kind: must be one of account, channel, space; got 'person'"),
        (account(kind=["account"]), "kind: must be one of"),
        (account(colour="red"), "colour: is not a field of an account name; the fields are"),
        (account(parent_id="x"), "parent_id: is not a field of an account name"),
        (channel(is_public="yes"), "is_public: must be true, false or null; got 'yes'"),
        (account(name=None), "name: must be a string"),
        (account(name=["Ada"]), "name: must be a string"),
        (account(platform="IRC"), "platform: must be a slug"),
        (account(seen_at="2026-03-10T12:00:00"), "seen_at: must be an RFC 3339"),
        (account(joined_at="1999-12-31T00:00:00Z"), "joined_at: must be an RFC 3339"),
        (account(seen_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat()), "seen_at: must be an RFC 3339"),
        ({name: value for name, value in account().items() if name != "seen_at"}, "seen_at: is missing"),
    ],
)
def test_notice__error_names_the_field_and_the_rule(engine: Engine, entry: object, says: str) -> None:
    """In the worker it is the detail of the letter, in the bot's own process an error before anything is sent."""
    tell(engine, account(id="right"), entry)
    assert [each[0] for each in accounts(engine)] == ["right"]
    assert rows(engine, "SELECT detail FROM dead_letters")[0][0].startswith(says)
    with pytest.raises(InvalidEvent, match=r"must be|is not a field|is missing"):
        names.decode(entry)


@pytest.mark.parametrize("argument", [None, {}, "names", [account()] * (names.LONGEST + 1)])
def test_notice__that_is_no_list_is_one_letter(engine: Engine, argument: object) -> None:
    """A list that is too long is refused whole, like everything that is no list."""
    raw = message.encode_call(keys.NOTE_NAMES, orjson.dumps(argument))
    assert store_elements(engine, uuid4().hex, [raw]) == Counts(received=1, dead=1)
    assert rows(engine, "SELECT reason FROM dead_letters") == [("invalid_notice",)]


def test_names__are_cleaned_and_never_refused(engine: Engine) -> None:
    """Names of any characters and length are stored as far as they can be shown."""
    family = "👩‍👩‍👧‍👦"
    given = {
        "a": "x" * 10_000,
        "b": "   ",
        "c": "\u202eevil",
        "d": "Z" + "\u0335" * 900,
        "e": "<b>&\0</b>\n",
        "f": family,
    }
    tell(engine, *(account(id=key, name=name, username=name) for key, name in given.items()))
    assert rows(engine, "SELECT reason FROM dead_letters") == []
    kept = {"a": "x" * 255, "b": None, "c": "evil", "d": "Z" + "\u0335" * 4, "e": "<b>&</b>", "f": family}
    assert accounts(engine) == [(key, name, name) for key, name in kept.items()]


def test_names__off_keeps_only_the_structure(engine: Engine) -> None:
    """Where channels belong and when members joined is stored; names are not, and stored ones can be deleted."""
    told = [account(username="u", joined_at=AT), channel(parent_id="harbour", is_public=True), space()]
    tell(engine, *told)
    with transaction(engine) as connection:
        stored_names.erase_names(connection)
    before = rows(engine, "SELECT account_id, name, username, joined_at IS NOT NULL FROM account_names")
    assert before == [("ada", None, None, True)]
    tell(engine, *({**each, "id": f"{each['id']}2"} for each in told), keep_names=False)
    assert accounts(engine) == [("ada", None, None), ("ada2", None, None)]
    query = "SELECT channel_id, name, parent_id, is_public FROM channel_names ORDER BY 1"
    assert rows(engine, query) == [("quay", None, "harbour", True), ("quay2", None, "harbour", True)]
    assert rows(engine, "SELECT name FROM space_names") == [(None,), (None,)]


def test_forget__names_go_and_queued_ones_do_not_come_back(engine: Engine) -> None:
    """Erasing deletes the names in all communities; a notice from before is discarded, one from later is stored."""
    put(engine, [event(object_id="1"), event(object_id="2", member_id="bob")])
    tell(engine, account(), account(community_id="other"), account(id="bob"), channel(id="ada"))
    assert b"Ada" in b"".join(line for line in requests.export(engine, "irc:ada") if b'"kind":"name"' in line)
    requests.forget(engine, "irc:ada")
    counts = tell(engine, account(), account(id="bob", name="Bob"), account(id=5))
    assert counts == Counts(received=1, dead=1, opted_out=1, notices=1)
    assert accounts(engine) == [("bob", "Bob", None)]
    assert rows(engine, "SELECT channel_id FROM channel_names") == [("ada",)]


def test_opt_out__leaves_no_name_in_tables_or_letters(engine: Engine) -> None:
    """Names of the account are discarded for ever, also wrong ones, which would be dead letters."""
    tell(engine, account(), account(seen_at="yesterday"))
    requests.opt_out(engine, "irc:ada")
    later = datetime.now(UTC) + timedelta(minutes=4)
    tell(engine, account(seen_at=later.isoformat()), account(name=5))
    assert accounts(engine) == []
    assert rows(engine, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_removed_bot__names_of_its_platform_go(engine: Engine) -> None:
    """The deletion of a community covers its names and its letters; another platform keeps its own."""
    put(engine, [event(platform="discord"), event(object_id="2")])
    for platform in ("irc", "discord"):
        told = [account(), channel(), space(), account(id="x", seen_at="bad")]
        tell(engine, *({**each, "platform": platform} for each in told))
    removed_at = datetime.now(UTC) - timedelta(days=40)
    with transaction(engine) as connection:
        presence.store_presence(connection, Presence("c", "irc", False, removed_at, "net"))
    assert [each.platform for each in deletion.delete_due(engine, 30)] == ["irc"]
    for table in ("account_names", "channel_names", "space_names"):
        assert rows(engine, f"SELECT platform FROM {table}") == [("discord",)]
    letters = [message.decode(bytes(raw)).argument for (raw,) in rows(engine, "SELECT raw FROM dead_letters")]
    assert [each[0]["platform"] for each in letters] == ["discord"]  # type: ignore[index]


def test_presence__community_of_two_guilds_loses_nothing_before_both_are_left(engine: Engine) -> None:
    """Also if two processes of a bot each see one of the guilds; a notice of an older bot then says nothing."""
    put(engine, [event()])
    removed_at = datetime.now(UTC) - timedelta(days=40)
    told = [
        Presence("c", "irc", True, removed_at, None),
        Presence("c", "irc", True, removed_at, "one"),
        Presence("c", "irc", True, removed_at, "two"),
        Presence("c", "irc", False, removed_at + timedelta(seconds=1), "one"),
    ]
    for each in told:
        with transaction(engine) as connection:
            presence.store_presence(connection, each)
    assert deletion.delete_due(engine, 30) == []
    with transaction(engine) as connection:
        presence.store_presence(connection, Presence("c", "irc", False, removed_at + timedelta(seconds=2), "two"))
    assert [each.community_id for each in deletion.delete_due(engine, 30)] == ["c"]
    assert rows(engine, "SELECT * FROM community_bots") == []


@pytest.mark.usefixtures("environment")
def test_publisher__sends_names_in_lists(redis: Redis) -> None:
    """More than 500 names become several notices, each within the schema; a wrong name sends nothing."""
    publisher = Publisher()
    assert publisher.note_names(account(id=str(number)) for number in range(names.LONGEST + 1))
    with pytest.raises(InvalidEvent, match="id: must be"):
        publisher.note_names([account(), account(id=5)])
    publisher.close()
    found = [message.decode(raw) for raw in reversed(cast("list[bytes]", redis.lrange(keys.EVENTS, 0, -1)))]
    assert [(each.task, len(list(each.argument))) for each in found] == [  # type: ignore[call-overload]
        (keys.NOTE_NAMES, names.LONGEST),
        (keys.NOTE_NAMES, 1),
    ]
    validator = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    for each in found:
        validator.validate(each.argument)


def test_schema__is_the_file_in_docs() -> None:
    """The published schema is the one that the code has."""
    assert SCHEMA.read_text("utf-8") == json.dumps(names.json_schema(), indent=2, ensure_ascii=False) + "\n"
    Draft202012Validator.check_schema(names.json_schema())


@pytest.mark.usefixtures("environment")
def test_worker__stores_names_of_any_celery_client(database: str, valkey: Valkey, tmp_path: Path) -> None:
    """A bare Celery program sends the task by its name; `publish.note_names` sends the same."""
    stock = Celery("bot", broker=valkey.url, set_as_current=False)
    stock.send_task("participation.note_names", [[account(id="stock")]], queue="participation.events")
    stock.send_task("participation.note_names", kwargs={"names": [account(id="named")]}, queue="participation.events")
    publish.note_names([account(id="ours")])
    engine = connect(database)
    with running(tmp_path / "worker.log"):
        eventually(lambda: [each[0] for each in accounts(engine)] == ["named", "ours", "stock"])
