"""The wire contract of an event: every rule from both sides, what makes two events one, and the JSON Schema."""

import json
import pickle
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from kombu.utils.json import dumps as kombu_dumps
from pydantic import ValidationError

from participation.errors import InvalidEvent, ParticipationError
from participation.event import (
    IDENTITY,
    ActorKind,
    Event,
    EventType,
    decode,
    encode,
    event_id,
    json_schema,
    to_json,
)
from participation.limits import EARLIEST
from tests.rows import event

REQUIRED = ("event_type", "platform", "community_id", "member_id", "occurred_at")
IDENTIFIERS = ("community_id", "member_id", "channel_id", "object_id", "object_author_id")
OPTIONAL_IDENTIFIERS = IDENTIFIERS[2:]
FIELDS = (*REQUIRED[:4], *OPTIONAL_IDENTIFIERS, "actor_kind", "occurred_at", "metadata", "event_id")
SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "event.schema.json"
GIVEN_ID = "0192f0c1-2d3e-7a4b-8c5d-6e7f80912a3b"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

FULL = event(
    event_type="REACTION_ADDED",
    platform="discord",
    community_id="harbour",
    member_id="80351110224678912",
    channel_id="general",
    object_id="1098765432109876543",
    object_author_id="grace",
    actor_kind="webhook",
    occurred_at="2026-03-10T13:00:00.5+01:00",
    metadata={"emoji": "⚓", "list": [1, 2.5, True, None, {"deep": "ß"}]},
    event_id=GIVEN_ID,
)


def refusal(value: object) -> InvalidEvent:
    """Return the error with which `decode` refuses the value."""
    with pytest.raises(InvalidEvent) as caught:
        decode(value)
    return caught.value


def refused_field(**values: Any) -> str:
    return refusal(event(**values)).field


def identity(**values: Any) -> UUID:
    return event_id(decode(event(**values)))


def nested(levels: int) -> dict[str, Any]:
    """Return an object so many levels deep."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def nested_array(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


# ---- fields ----


def test_decode__fills_what_the_shortest_event_leaves_out() -> None:
    """An event of the required fields alone is a user's, without object, channel or metadata."""
    assert decode(event()).model_dump() == {
        "event_type": EventType.MESSAGE_SENT,
        "platform": "irc",
        "community_id": "c",
        "member_id": "ada",
        "channel_id": None,
        "object_id": None,
        "object_author_id": None,
        "actor_kind": ActorKind.USER,
        "occurred_at": NOON,
        "metadata": {},
        "event_id": None,
    }


def test_decode__keeps_every_field() -> None:
    """An event that has every field comes out with every value as it was."""
    assert decode(FULL).model_dump() == {
        **FULL,
        "event_type": EventType.REACTION_ADDED,
        "actor_kind": ActorKind.WEBHOOK,
        "occurred_at": datetime(2026, 3, 10, 12, 0, 0, 500_000, UTC),
        "event_id": UUID(GIVEN_ID),
    }


def test_decode__takes_any_mapping() -> None:
    """An object that only behaves like a `dict` is read like one, and refused field by field like one."""
    assert decode(MappingProxyType(FULL)) == decode(FULL)
    assert refusal(MappingProxyType(event(platform=""))).field == "platform"


def test_decode__leaves_its_argument_alone() -> None:
    """The caller's object is not changed by reading it."""
    value = deepcopy(FULL)
    decode(value)
    assert value == FULL


@pytest.mark.parametrize("field", REQUIRED)
def test_decode__refuses_an_event_without_a_required_field(field: str) -> None:
    """A required field that is missing is named, and that it is missing is said."""
    value = event()
    del value[field]
    error = refusal(value)
    assert error.field == field
    assert error.rule.startswith("is missing; it must be ")


@pytest.mark.parametrize("field", [*REQUIRED, "actor_kind", "metadata"])
def test_decode__refuses_null_where_a_value_is_needed(field: str) -> None:
    """Null stands for nothing in optional fields only."""
    assert refused_field(**{field: None}) == field


@pytest.mark.parametrize("field", [*OPTIONAL_IDENTIFIERS, "event_id"])
def test_decode__takes_null_for_an_optional_field(field: str) -> None:
    """Null in an optional field is the same as its absence."""
    assert decode(event(**{field: None})) == decode(event())


def test_event_types__are_the_fixed_ones() -> None:
    """Other people's programs rely on exactly these names."""
    assert [*EventType] == [
        "MESSAGE_SENT",
        "REACTION_ADDED",
        "REACTION_REMOVED",
        "VOICE_JOINED",
        "VOICE_PRESENT",
        "VOICE_LEFT",
        "MEMBER_JOINED",
        "MEMBER_LEFT",
    ]
    assert [*ActorKind] == ["user", "bot", "webhook", "anonymous"]


@pytest.mark.parametrize("kind", EventType)
@pytest.mark.parametrize("actor", ActorKind)
def test_decode__takes_every_type_and_actor(kind: EventType, actor: ActorKind) -> None:
    """Every fixed name is accepted, as a string and as our own enumeration."""
    written = decode(event(event_type=str(kind), actor_kind=str(actor)))
    assert written == decode(event(event_type=kind, actor_kind=actor))
    assert (written.event_type, written.actor_kind) == (kind, actor)


@pytest.mark.parametrize("field", ["event_type", "actor_kind"])
@pytest.mark.parametrize(
    "value",
    ["", "message_sent", "MESSAGE_SENT ", "MESSAGE_EDITED", "User", "USER", b"user", 1, True, ["user"], {"a": 1}, 0.5],
)
def test_decode__refuses_other_types_and_actors(field: str, value: object) -> None:
    """A name that is not fixed, in another case or of another type is refused."""
    assert refused_field(**{field: value}) == field


@pytest.mark.parametrize("field", IDENTIFIERS)
@pytest.mark.parametrize(
    "value", ["x", "x" * 255, "😀" * 255, " ", " ada ", "a\nb", "\n", "\x7f\u202e", "9" * 30, "null"]
)
def test_decode__keeps_identifiers_as_they_are(field: str, value: str) -> None:
    """1–255 characters of any kind but NUL are kept to the letter, counted as characters and not as bytes."""
    assert getattr(decode(event(**{field: value})), field) == value


@pytest.mark.parametrize("field", IDENTIFIERS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 256,
        "😀" * 256,
        "x" * 255 + "\n",
        "\0",
        "a\0",
        "\0a",
        "\ud800",
        "a\udfff",
        ["ada"],
        {"id": "ada"},
        b"ada",
    ],
)
def test_decode__refuses_what_is_no_identifier(field: str, value: object) -> None:
    """Nothing, more than 255 characters, NUL, half a surrogate pair and other types are refused."""
    assert refused_field(**{field: value}) == field


@pytest.mark.parametrize("field", [*IDENTIFIERS, "platform"])
@pytest.mark.parametrize(
    "number", [0, 7, -1, 80351110224678912, 2**64, pytest.param(10**5000, id="huge"), 1.0, True, False]
)
def test_decode__refuses_a_number_as_an_identifier(field: str, number: float) -> None:
    """An id is always a string: a number has lost digits somewhere, or will."""
    assert refused_field(**{field: number}) == field


@pytest.mark.parametrize("value", ["a", "z" * 32, "0", "-", "_", "my-own_platform-2"])
def test_decode__takes_a_slug_as_platform(value: str) -> None:
    """1–32 of a–z, 0–9, _ and - are a platform, whether we know it or not."""
    assert decode(event(platform=value)).platform == value


@pytest.mark.parametrize(
    "value",
    ["", "z" * 33, "Discord", "irc\n", "\nirc", " irc", "a b", "a.b", "a:b", "ïrc", "\u0661", "a\0", b"irc", ["irc"]],
)
def test_decode__refuses_a_platform_that_is_no_slug(value: object) -> None:
    """Capitals, spaces, other characters, no or more than 32 of them are no platform."""
    assert refused_field(platform=value) == "platform"


@pytest.mark.parametrize("name", ["colour", "eventType", "Event_type", "event_type ", "", "timestamp", "ünïcode"])
def test_decode__refuses_an_unknown_field(name: str) -> None:
    """A field that is not in the contract is named, with those that are, even when its value is null."""
    for value in ("x", None):
        error = refusal(event(**{name: value}))
        assert error.field == name
        assert error.rule == f"is not a field of an event; the fields are {', '.join(FIELDS)}"


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("a\0b", "'a\\x00b'"),
        ("a\nb\x1b[2J", "'a\\nb\\x1b[2J'"),
        ("x" * 80, "x" * 80),
        ("x" * 81, f"'{'x' * 59}… (83 characters)"),
        ("x" * 10_000, f"'{'x' * 59}… (10002 characters)"),
        (7, "7"),
    ],
)
def test_decode__names_an_unknown_field_in_one_short_plain_line(name: object, named: str) -> None:
    """The name of a field comes from outside: it can neither break a line of output nor fill it."""
    value: dict[Any, Any] = {**event(), name: 1}
    assert refusal(value).field == named


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        1.5,
        "x",
        json.dumps(event()),
        b"{}",
        [],
        [event()],
        [["event_type", "MESSAGE_SENT"]],
        {**event(), "\ud800": 1},
    ],
)
def test_decode__refuses_what_is_no_object(value: object) -> None:
    """Whatever is not one JSON object is refused as a whole."""
    error = refusal(value)
    assert (error.field, error.rule, error.raw) == ("event", "must be one JSON object", value)


def test_decode__refuses_the_empty_object() -> None:
    """An object without any field breaks the first field's rule."""
    assert refusal({}).field == "event_type"


# ---- moments ----


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2026-03-10T12:00:00Z", NOON),
        ("2026-03-10t12:00:00z", NOON),
        ("2026-03-10T12:00:00+00:00", NOON),
        ("2026-03-10T12:00:00-00:00", NOON),
        ("2026-03-10T13:30:00+01:30", NOON),
        ("2026-03-09T12:01:00-23:59", NOON),
        ("2026-03-11T11:59:00+23:59", NOON),
        ("2026-03-10T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-03-10T12:00:00.000001Z", NOON + timedelta(microseconds=1)),
        ("2026-03-10T12:00:00.999999Z", NOON + timedelta(microseconds=999_999)),
        ("2026-03-10T12:00:00.9999999Z", NOON + timedelta(microseconds=999_999)),
        ("2026-03-10T12:00:00.0000019+00:00", NOON + timedelta(microseconds=1)),
        (f"2026-03-10T12:00:00.{'1' * 200}Z", NOON + timedelta(microseconds=111_111)),
        ("2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        ("1999-12-31T23:00:00-01:00", datetime(2000, 1, 1, tzinfo=UTC)),
    ],
)
def test_decode__keeps_the_moment_in_utc(written: str, kept: datetime) -> None:
    """RFC 3339 with any offset is kept in UTC to the microsecond, with further digits cut off."""
    moment = decode(event(occurred_at=written)).occurred_at
    assert moment == kept
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "",
        "now",
        "2026-03-10",
        "12:00:00Z",
        "2026-03-10T12:00:00",
        "2026-03-10T12:00:00.5",
        "2026-03-10T12:00Z",
        "2026-03-10T12Z",
        "2026-03-10 12:00:00Z",
        "2026-03-10_12:00:00Z",
        " 2026-03-10T12:00:00Z",
        "2026-03-10T12:00:00Z ",
        "2026-03-10T12:00:00Z\n",
        "2026-03-10T12:00:00 Z",
        "2026-03-10T12:00:00.Z",
        "2026-03-10T12:00:00,5Z",
        "2026-03-10T12:00:00ZZ",
        "2026-03-10T12:00:00+01",
        "2026-03-10T12:00:00+0100",
        "2026-03-10T12:00:00+01:00:00",
        "2026-03-10T12:00:00+24:00",
        "2026-03-10T12:00:00+00:60",
        "2026-03-10T12:00:00\u221201:00",
        "20260310T120000Z",
        "2026-W11-2T12:00:00Z",
        "2026-069T12:00:00Z",
        "26-03-10T12:00:00Z",
        "2026-3-10T12:00:00Z",
        "+2026-03-10T12:00:00Z",
        "-2026-03-10T12:00:00Z",
        "2026-00-10T12:00:00Z",
        "2026-13-10T12:00:00Z",
        "2026-02-29T12:00:00Z",
        "2026-03-00T12:00:00Z",
        "2026-03-10T24:00:00Z",
        "2026-03-10T12:60:00Z",
        "2016-12-31T23:59:60Z",
        "\u0662026-03-10T12:00:00Z",
        "2026-03-10T12:00:00.\u0665Z",
        "2026-03-10T12:00:00\0Z",
        "2026-03-10T12:00:00\ud800Z",
        "1773144000",
    ],
)
def test_decode__refuses_what_is_no_moment_with_an_offset(written: str) -> None:
    """No offset, no time, other notations and times that no clock shows are refused."""
    assert refused_field(occurred_at=written) == "occurred_at"


@pytest.mark.parametrize(
    "written",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "1970-01-01T00:00:00Z",
        "1999-12-31T23:59:59.999999Z",
        "2000-01-01T00:59:59.999999+01:00",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "294277-01-01T00:00:00Z",
    ],
)
def test_decode__refuses_a_moment_outside_the_years_of_the_contract(written: str) -> None:
    """Before 2000-01-01 UTC, and so far ahead that neither PostgreSQL nor Python has it, there are no events."""
    assert refused_field(occurred_at=written) == "occurred_at"


def test_decode__takes_a_clock_that_is_up_to_five_minutes_fast() -> None:
    """A moment nearly five minutes ahead is accepted."""
    moment = datetime.now(UTC) + timedelta(minutes=4, seconds=50)
    assert decode(event(occurred_at=moment.isoformat())).occurred_at == moment


@pytest.mark.parametrize("hours", [-23, 0, 23])
def test_decode__refuses_a_clock_that_is_more_than_five_minutes_fast(hours: int) -> None:
    """A moment further ahead is refused, whichever offset it is written with."""
    moment = (datetime.now(UTC) + timedelta(minutes=5, seconds=40)).astimezone(timezone(timedelta(hours=hours)))
    assert refused_field(occurred_at=moment.isoformat()) == "occurred_at"


@pytest.mark.parametrize(
    "value",
    [1773144000, 1773144000.5, 0, True, b"2026-03-10T12:00:00Z", date(2026, 3, 10), ["2026-03-10T12:00:00Z"], {}],
)
def test_decode__refuses_a_moment_of_another_type(value: object) -> None:
    """A number of seconds, a date and whatever else is no string is refused: a contract has one notation."""
    assert refused_field(occurred_at=value) == "occurred_at"


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        NOON.astimezone(timezone(timedelta(hours=-5, minutes=-30))),
        datetime(2026, 3, 10, 13, tzinfo=ZoneInfo("Europe/Berlin")),
    ],
)
def test_decode__takes_a_datetime_with_a_zone(moment: datetime) -> None:
    """In Python a moment may be a `datetime` that knows its zone; it is kept in UTC."""
    kept = decode(event(occurred_at=moment)).occurred_at
    assert (kept, kept.tzinfo) == (NOON, UTC)


@pytest.mark.parametrize(("fold", "hour"), [(0, 0), (1, 1)])
def test_decode__tells_the_two_hours_apart_that_a_clock_shows_twice(fold: int, hour: int) -> None:
    """At the end of summer time `fold` says which 02:30 is meant."""
    moment = datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
    assert decode(event(occurred_at=moment)).occurred_at == datetime(2025, 10, 26, hour, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment",
    [
        NOON.replace(tzinfo=None),
        datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14))),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_decode__refuses_a_datetime_without_zone_or_out_of_range(moment: datetime) -> None:
    """A `datetime` follows the rules of the string: with a zone, and within the years of the contract."""
    assert refused_field(occurred_at=moment) == "occurred_at"


# ---- metadata ----


@pytest.mark.parametrize("unit", ["x", "é", "⚓", "😀", '"', "\n", "\x01"])
def test_decode__takes_4096_bytes_of_metadata_and_no_more(unit: str) -> None:
    """The limit counts the bytes of compact UTF-8 JSON, escapes and all."""
    width = len(json.dumps(unit, ensure_ascii=False).encode()) - 2
    count, rest = divmod(4096 - len('{"a":""}'), width)
    fits = {"a": unit * count + "." * rest}
    assert len(json.dumps(fits, ensure_ascii=False, separators=(",", ":")).encode()) == 4096
    assert decode(event(metadata=fits)).metadata == fits
    assert refused_field(metadata={"a": fits["a"] + "."}) == "metadata"


def test_decode__refuses_megabytes_of_metadata() -> None:
    """4 MB of metadata are refused, and the error does not repeat them."""
    error = refusal(event(metadata={"text": "x" * 4_000_000}))
    assert error.field == "metadata"
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"": ""},
        {"emoji": None},
        {"emoji": "👍🏽"},
        {"a": 2**64 - 1, "b": -(2**63), "c": 2**53 + 1},
        {"a": 0.1, "b": -1e-300, "c": 9.2e18, "d": -9.2e18, "e": 0.0},
        {"a": [True, False, None, [], {}, ["x"]]},
        {"a": "\x01\x7f\u2028\ufffe\U0010ffff"},
        nested(100),
    ],
)
def test_decode__keeps_metadata_as_it_is(value: dict[str, Any]) -> None:
    """Any JSON object within the limits is kept unchanged."""
    kept = decode(event(metadata=value)).metadata
    assert kept == value
    assert json.dumps(kept) == json.dumps(value)


@pytest.mark.parametrize(
    "inner",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        2**64,
        -(2**63) - 1,
        pytest.param(10**5000, id="huge"),
        2.0**63,
        -(2.0**63),
        1e300,
        "\0",
        "a\0b",
        "\ud800",
        "\udc00\ud800",
        b"x",
        {1, 2},
        (1, 2),
        1j,
        object(),
        NOON,
        UUID(GIVEN_ID),
        {1: "x"},
        {None: "x"},
        {"a\0": 1},
        {"\ud800": 1},
    ],
)
@pytest.mark.parametrize("place", [lambda x: {"a": x}, lambda x: {"a": [0, x]}, lambda x: {"a": {"b": [{"c": x}]}}])
def test_decode__refuses_in_metadata_what_json_or_jsonb_cannot_hold(place: Any, inner: object) -> None:
    """NaN, numbers beyond 64 bits, NUL, half surrogate pairs and what JSON does not know are refused at any depth."""
    assert refused_field(metadata=place(inner)) == "metadata"


@pytest.mark.parametrize("value", [[], ["a"], "x", "{}", 1, True, b"{}", 1.5, [["a", 1]], {1: 2}, {"\0": 1}, NOON])
def test_decode__refuses_metadata_that_is_no_object(value: object) -> None:
    """Metadata is one JSON object, not an array, a string or a number."""
    assert refused_field(metadata=value) == "metadata"


@pytest.mark.parametrize("levels", [300, 2_000])
def test_decode__refuses_metadata_without_a_bottom(levels: int) -> None:
    """Metadata hundreds of levels deep, or that contains itself, is refused before anything runs out of stack."""
    circle: dict[str, Any] = {}
    circle["a"] = circle
    assert refused_field(metadata=nested(levels)) == "metadata"
    assert refused_field(metadata=circle) == "metadata"


@pytest.mark.parametrize("levels", [500, 1_000, 5_000, 100_000])
@pytest.mark.parametrize("field", FIELDS)
def test_decode__refuses_any_field_that_is_too_deep(field: str, levels: int) -> None:
    """Depth in any field breaks its rule and nothing else: the error can still be written."""
    assert refused_field(**{field: nested_array(levels)}) == field


# ---- event_id ----


@pytest.mark.parametrize(
    "written", [GIVEN_ID, GIVEN_ID.upper(), GIVEN_ID.replace("-", ""), UUID(GIVEN_ID)], ids=["", "upper", "hex", "UUID"]
)
def test_decode__reads_a_uuid_however_it_is_written(written: object) -> None:
    """Capitals and hyphens make no difference, and in Python it may be a `UUID`."""
    assert decode(event(event_id=written)).event_id == UUID(GIVEN_ID)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        GIVEN_ID[:-1],
        GIVEN_ID + "0",
        GIVEN_ID + "\n",
        f" {GIVEN_ID}",
        "g" * 32,
        "+" + "1" * 31,
        "1_" * 15 + "11",
        "1-" * 32,
        "\u0663" * 32,
        "\ud800" * 32,
        0,
        1.5,
        True,
        [],
        {},
        UUID(GIVEN_ID).bytes,
        GIVEN_ID.encode(),
    ],
)
def test_decode__refuses_what_is_no_uuid(value: object) -> None:
    """Neither almost-UUIDs, that Python's own parser would take, nor other types are an event's id."""
    assert refused_field(event_id=value) == "event_id"


# ---- kombu's own notations ----


def test_decode__reads_what_kombu_makes_of_python_values() -> None:
    """A bare Celery program that passes a `datetime` and a `UUID` sends kombu's notation of them."""
    sent = json.loads(kombu_dumps(event(occurred_at=NOON, event_id=UUID(GIVEN_ID))))
    assert isinstance(sent["occurred_at"], dict)
    assert isinstance(sent["event_id"], dict)
    assert decode(sent) == decode(event(event_id=GIVEN_ID))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("occurred_at", {"__type__": "datetime", "__value__": "2026-03-10T12:00:00"}),
        ("occurred_at", {"__type__": "datetime", "__value__": 1773144000}),
        ("occurred_at", {"__type__": "date", "__value__": "2026-03-10"}),
        ("occurred_at", {"__type__": "datetime"}),
        ("occurred_at", {"__type__": "datetime", "__value__": "2026-03-10T12:00:00Z", "more": 1}),
        ("occurred_at", {"__type__": "datetime", "__value__": {"__type__": "datetime", "__value__": "2026"}}),
        ("event_id", {"__type__": "uuid", "__value__": {"hex": "x"}}),
        ("event_id", {"__type__": "uuid", "__value__": {"hex": 5}}),
        ("event_id", {"__type__": "uuid", "__value__": {"hex": "1" * 32, "version": 4}}),
        ("event_id", {"__value__": {"hex": "1" * 32}}),
        ("member_id", {"__type__": "bytes", "__value__": "ada"}),
        ("channel_id", {"__type__": "uuid", "__value__": {"hex": "1" * 32}}),
    ],
)
def test_decode__holds_kombus_notations_to_the_rules(field: str, value: object) -> None:
    """What is inside such a notation follows the field's rule, and no other field has one."""
    assert refused_field(**{field: value}) == field


def test_decode__keeps_metadata_that_looks_like_kombus_notation() -> None:
    """In metadata such an object is data like any other."""
    value = {"at": {"__type__": "datetime", "__value__": "x"}}
    assert decode(event(metadata=value)).metadata == value


# ---- errors ----


def test_decode__names_the_field_and_the_rule_and_quotes_the_value() -> None:
    """The error says where, what it must be and what it was; its attributes serve programs."""
    value = event(platform="Discord", member_id=5)
    error = refusal(value)
    assert str(error) == (
        "platform: must be a slug of 1–32 characters a–z, 0–9, _ or -, for example discord, telegram or irc; "
        "got 'Discord'"
    )
    assert (error.field, error.raw, error.code) == ("platform", value, "invalid_event")
    assert isinstance(error, ValueError)
    assert isinstance(error, ParticipationError)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        (12345678901234567890, "got 12345678901234567890"),
        ("", "got ''"),
        ("x\n\x1b[2J\0ü", "got 'x\\n\\x1b[2J\\x00\\xfc'"),
        ("\ud800", "got '\\ud800'"),
        ([["a", 1]] * 2, "got [['a', 1], ['a', 1]]"),
        ("x" * 256, f"got '{'x' * 59}… (258 characters)"),
        (["y" * 76], f"got ['{'y' * 76}']"),
        (["y" * 77], f"got ['{'y' * 58}… (81 characters)"),
        (nested_array(5_000), "got a value of type list"),
        pytest.param(10**5000, "got a value of type int", id="huge"),
    ],
)
def test_decode__quotes_the_value_short_and_plain(value: object, quoted: str) -> None:
    """What a program sent is quoted in ASCII and cut, so that it fits a line of a log or a terminal."""
    assert str(refusal(event(member_id=value))).rsplit("; ", 1)[1] == quoted


@pytest.mark.parametrize(
    "error",
    [
        InvalidEvent("member_id", "must be a string", {"member_id": 5}, "not_json"),
        InvalidEvent("event", "must be one JSON object"),
        refusal(event(occurred_at=NOON.replace(tzinfo=None), metadata={"a": [1]})),
    ],
)
def test_invalid_event__survives_pickling(error: InvalidEvent) -> None:
    """A worker process can hand the error to its parent with everything that it says."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is InvalidEvent
    assert str(copy) == str(error)
    assert (copy.field, copy.rule, copy.raw, copy.code) == (error.field, error.rule, error.raw, error.code)


def test_invalid_event__says_which_of_many_it_is() -> None:
    """The event's place among those that were sent together is part of the text, and travels with the error."""
    error = refusal({})
    error.index, error.acknowledged = 7, 5
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy).startswith("event 7: event_type: is missing")
    assert (copy.index, copy.acknowledged) == (7, 5)


# ---- an Event, and the way back ----


def test_decode__passes_an_event_through() -> None:
    """An `Event` is already checked."""
    item = Event(event_type=EventType.MEMBER_LEFT, platform="irc", community_id="c", member_id="ada", occurred_at=NOON)
    assert decode(item) is item
    assert item == decode(event(event_type="MEMBER_LEFT"))


def test_event__cannot_be_changed() -> None:
    """What was checked stays as it was."""
    item = decode(event())
    with pytest.raises(ValidationError, match="frozen"):
        item.member_id = "grace"  # type: ignore[misc]


def test_encode__writes_no_more_than_was_said() -> None:
    """Nulls, defaults and a derived id do not travel; the moment does in UTC."""
    written = event(channel_id=None, actor_kind="user", metadata={}, occurred_at="2026-03-10T13:00:00+01:00")
    assert encode(decode(written)) == event()


def test_encode__writes_every_field_as_json() -> None:
    """What travels are plain JSON values, with nulls inside the metadata kept."""
    written = encode(decode({**FULL, "metadata": {"emoji": None, "a": [None, {"b": None}]}}))
    assert written == {
        **FULL,
        "occurred_at": "2026-03-10T12:00:00.500000Z",
        "metadata": {"emoji": None, "a": [None, {"b": None}]},
    }
    assert {type(value) for value in written.values()} == {str, dict}


def test_encode__writes_the_deepest_metadata_that_decode_takes() -> None:
    """Whatever is accepted can also be sent and read again."""
    taken = [item for item in map(_decoded_or_none, map(nested, range(240, 270))) if item]
    assert taken
    for item in taken:
        assert decode(json.loads(json.dumps(encode(item)))) == item
        assert decode(json.loads(to_json(item))) == item


def _decoded_or_none(metadata: dict[str, Any]) -> Event | None:
    try:
        return decode(event(metadata=metadata))
    except InvalidEvent:
        return None


PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A loaded machine is no failure."""

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
IDS = st.text(CHARACTERS, min_size=1, max_size=255)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(-(2.0**62), 2.0**62)
    | st.text(CHARACTERS, max_size=20)
)
# Written out: a recursive strategy is now and then found not to recurse, which is an error here.
ARRAYS_AND_OBJECTS = st.lists(SCALARS, max_size=3) | st.dictionaries(
    st.text(CHARACTERS, max_size=9), SCALARS, max_size=3
)
JSON = SCALARS | ARRAYS_AND_OBJECTS | st.lists(ARRAYS_AND_OBJECTS, max_size=3)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.builds(
    lambda microseconds, zone: (EARLIEST + timedelta(microseconds=microseconds)).astimezone(zone),
    st.integers(0, (NOON - EARLIEST) // timedelta(microseconds=1)),
    OFFSETS,
)
VALID = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from([str(kind) for kind in EventType]),
        "platform": st.from_regex(r"[a-z0-9_-]{1,32}", fullmatch=True),
        "community_id": IDS,
        "member_id": IDS,
        "occurred_at": MOMENTS.map(datetime.isoformat),
    },
    optional={
        "channel_id": st.none() | IDS,
        "object_id": st.none() | IDS,
        "object_author_id": st.none() | IDS,
        "actor_kind": st.sampled_from([str(kind) for kind in ActorKind]),
        "metadata": st.dictionaries(st.sampled_from(["emoji", "a", "", "ß"]), JSON, max_size=3),
        "event_id": st.none() | st.uuids().map(str),
    },
)


@PATIENT
@given(VALID)
def test_encode__is_undone_by_decode(value: dict[str, Any]) -> None:
    """Any valid event that travels as JSON arrives as the same event with the same identity."""
    item = decode(value)
    arrived = decode(json.loads(json.dumps(encode(item))))
    assert arrived == item
    assert event_id(arrived) == event_id(item)
    assert encode(arrived) == encode(item)
    assert orjson.loads(to_json(item)) == encode(item)


ANY = SCALARS | st.floats() | st.binary() | st.text()
KEYS = st.sampled_from(FIELDS) | st.text()


@PATIENT
@given(ANY | st.lists(ANY) | st.dictionaries(KEYS, ANY | st.lists(ANY) | st.dictionaries(KEYS, ANY)))
def test_decode__answers_anything_with_an_event_or_a_refusal(value: object) -> None:
    """Whatever Python value comes in, no other exception leaves `decode`."""
    _refused_or_encodable(value)


@PATIENT
@given(VALID, st.sampled_from(FIELDS), st.floats() | st.text() | st.binary() | st.integers() | JSON)
def test_decode__answers_one_wrong_field_with_an_event_or_a_refusal(
    valid: dict[str, Any], field: str, value: object
) -> None:
    """Whatever stands in one field of an otherwise valid event, it can be sent or is refused for that field."""
    error = _refused_or_encodable({**valid, field: value})
    assert error is None or error.field == field


def _refused_or_encodable(value: object) -> InvalidEvent | None:
    try:
        item = decode(value)
    except InvalidEvent as error:
        return error
    assert decode(json.loads(json.dumps(encode(item)))) == item
    return None


# ---- identity ----


def test_event_id__is_the_uuid5_of_what_makes_it_one_event() -> None:
    """The formula is fixed for ever: another one would store what is sent again a second time."""
    values = FULL | {"event_id": None, "metadata": {"emoji": "⚓", "other": 1}}
    name = (
        '["discord","harbour","general","80351110224678912","REACTION_ADDED","1098765432109876543","⚓",'
        '"2026-03-10T12:00:00.500000+00:00"]'
    )
    assert event_id(decode(values)) == uuid5(IDENTITY, name)
    bare = '["irc","c",null,"ada","MESSAGE_SENT",null,null,"2026-03-10T12:00:00+00:00"]'
    assert identity() == uuid5(IDENTITY, bare)


def test_event_id__never_changes_between_releases() -> None:
    """Two identities as literals: whatever changes them breaks the promise for what is already stored."""
    assert str(identity()) == "393c3ebb-dff8-568b-b208-ca8f7f02030e"
    assert str(event_id(decode(FULL | {"event_id": None}))) == "b22a3dcf-913a-5d17-b16e-b6577302849a"


@pytest.mark.parametrize(
    "occurred_at",
    [
        "2026-03-10T12:00:00.000000Z",
        "2026-03-10t12:00:00z",
        "2026-03-10T13:00:00+01:00",
        "2026-03-10T06:30:00-05:30",
        "2026-03-10T12:00:00.0000009Z",
        NOON,
        datetime(2026, 3, 10, 13, tzinfo=ZoneInfo("Europe/Berlin")),
        {"__type__": "datetime", "__value__": "2026-03-10T12:00:00+00:00"},
    ],
)
def test_event_id__is_of_the_instant_however_it_was_written(occurred_at: object) -> None:
    """Offset, notation, digits beyond the microsecond and the Python type make no difference."""
    assert identity(occurred_at=occurred_at) == identity()


@pytest.mark.parametrize(
    "change",
    [
        {"platform": "discord"},
        {"community_id": "d"},
        {"member_id": "Ada"},
        {"event_type": "VOICE_LEFT"},
        {"channel_id": "c"},
        {"object_id": "c"},
        {"metadata": {"emoji": "👍"}},
        {"metadata": {"emoji": "1"}},
        {"metadata": {"emoji": 1}},
        {"metadata": {"emoji": ""}},
        {"occurred_at": "2026-03-10T12:00:00.000001Z"},
        {"occurred_at": "2026-03-10T12:00:00+00:01"},
    ],
    ids=str,
)
def test_event_id__changes_with_each_value_of_the_identity(change: Mapping[str, object]) -> None:
    """Platform, community, channel, member, type, object, emoji and time tell two events apart."""
    assert identity(**change) != identity()


def test_event_id__does_not_confuse_neighbouring_values() -> None:
    """Moving a value from one field into the next, or its end into its beginning, makes another event."""
    ids = [
        identity(channel_id="x"),
        identity(object_id="x"),
        identity(metadata={"emoji": "x"}),
        identity(channel_id="x", object_id="y"),
        identity(channel_id="y", object_id="x"),
        identity(community_id="ab", member_id="c"),
        identity(community_id="a", member_id="bc"),
        identity(channel_id='x","ada'),
        identity(channel_id="null"),
    ]
    assert len({*ids}) == len(ids)


@pytest.mark.parametrize(
    "change",
    [
        {"object_author_id": "grace"},
        {"actor_kind": "bot"},
        {"metadata": {"length": 5}},
        {"metadata": {"emoji": None}},
        {"metadata": {"nested": {"emoji": "👍"}}},
        {"channel_id": None, "object_id": None, "event_id": None},
    ],
    ids=str,
)
def test_event_id__ignores_what_is_not_of_the_identity(change: Mapping[str, object]) -> None:
    """Author, kind of actor and metadata other than the emoji describe the event and do not make another one."""
    assert identity(**change) == identity()


def test_event_id__is_the_given_one() -> None:
    """Who names an event decides what is the same event."""
    assert identity(event_id=GIVEN_ID) == identity(event_id=GIVEN_ID, member_id="grace") == UUID(GIVEN_ID)


def test_event_id__is_a_version_5_uuid() -> None:
    """A derived id is a UUID of RFC 9562, version 5."""
    assert (identity().version, identity().variant) == (5, "specified in RFC 4122")


# ---- JSON Schema ----

SCHEMA = Draft202012Validator(json_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_json_schema__is_the_file_in_docs() -> None:
    """The published schema is the one that the code has; write the file anew when the contract changes."""
    assert SCHEMA_FILE.read_text("utf-8") == json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def test_json_schema__is_one() -> None:
    """The schema itself follows the JSON Schema of 2020-12."""
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(json_schema())


@PATIENT
@given(VALID)
def test_json_schema__takes_what_decode_takes(value: dict[str, Any]) -> None:
    """A client that checks against the schema is never told to drop a valid event."""
    assert decode(value)
    assert SCHEMA.is_valid(value)


def _without(field: str) -> dict[str, Any]:
    return {name: value for name, value in event().items() if name != field}


@pytest.mark.parametrize(
    "value",
    [
        *map(_without, REQUIRED),
        *({**event(), field: None} for field in (*REQUIRED, "actor_kind", "metadata")),
        *({**event(), field: 5} for field in FIELDS),
        *({**event(), field: "x" * 256} for field in IDENTIFIERS),
        *({**event(), field: ""} for field in IDENTIFIERS),
        *({**event(), field: "a\0"} for field in IDENTIFIERS),
        event(colour="red"),
        event(event_type="message_sent"),
        event(actor_kind="User"),
        event(platform="Discord"),
        event(platform="z" * 33),
        event(metadata=[]),
        event(metadata="{}"),
        event(event_id="x"),
        None,
        [],
        "x",
        5,
    ],
    ids=lambda value: ascii(value)[-60:],
)
def test_json_schema__refuses_what_it_can_tell(value: object) -> None:
    """Types, names, lengths and patterns are refused by the schema as by `decode`."""
    refusal(value)
    assert not SCHEMA.is_valid(value)
