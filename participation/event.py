"""The event: its fields and their rules, its JSON, and the id by which duplicates are recognised.

A bot passes a JSON object or an `Event`. `decode` returns an `Event`, or raises an error that says what is wrong.
`encode` returns the JSON object that is sent. `event_id` returns the id of the event.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha1
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from participation.errors import InvalidEvent
from participation.limits import AHEAD, EARLIEST, IDENTIFIER_CHARACTERS, METADATA_BYTES

QUOTED: Final = 80
"""Maximum length of a value that an error message quotes, in characters."""

IDENTITY: Final = UUID("5f6e3c1c-2b0a-5d0f-9a55-6d2f6a2f7c11")
"""UUID namespace of every derived `event_id`."""

RFC_3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt](?!24)\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:[0-5]\d)", re.ASCII
)

Model = TypeVar("Model", bound=BaseModel)


class EventType(StrEnum):
    """What a member did."""

    MESSAGE_SENT = "MESSAGE_SENT"
    REACTION_ADDED = "REACTION_ADDED"
    REACTION_REMOVED = "REACTION_REMOVED"
    VOICE_JOINED = "VOICE_JOINED"
    VOICE_PRESENT = "VOICE_PRESENT"
    VOICE_LEFT = "VOICE_LEFT"
    MEMBER_JOINED = "MEMBER_JOINED"
    MEMBER_LEFT = "MEMBER_LEFT"


class ActorKind(StrEnum):
    """Who did it. Only events of a `user` count in highlights."""

    USER = "user"
    BOT = "bot"
    WEBHOOK = "webhook"
    ANONYMOUS = "anonymous"


def _unwrap_kombu(value: object) -> object:
    """Unwrap a `datetime` or `UUID` that kombu wrapped because a program without this package passed it."""
    if isinstance(value, dict) and value.keys() == {"__type__", "__value__"}:
        inner = value["__value__"]
        return inner["hex"] if isinstance(inner, dict) and inner.keys() == {"hex"} else inner
    return value


def _require_string(value: object) -> str:
    """Refuse a value that is not a string. The enumeration would fail to quote one that is nested too deeply."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - pydantic expects a ValueError
    return value


def parse_time(value: object) -> datetime:
    """Return a time in UTC, without the digits after the microseconds.

    Raises `ValueError` if the value is not a time with an offset, or is not in the allowed range.
    """
    if not isinstance(value, str):
        value = _unwrap_kombu(value)
    if isinstance(value, str) and RFC_3339.fullmatch(value):
        value = datetime.fromisoformat(value.upper())
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise ValueError
    # Compared before it is converted, because the years 1 and 9999 with an offset can be out of range in UTC.
    if value < EARLIEST or value > datetime.now(UTC) + AHEAD:
        raise ValueError
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _metadata(value: object) -> dict[str, Any]:
    """Check that PostgreSQL's `jsonb` can store the metadata unchanged."""
    try:
        too_long = len(orjson.dumps(value)) > METADATA_BYTES
    except orjson.JSONEncodeError as error:
        raise ValueError from error
    if not isinstance(value, dict) or too_long:
        raise ValueError
    _check_values(value)
    return value


def _check_values(value: object) -> None:
    """Refuse values that JSON or `jsonb` cannot store. The depth is limited, because `orjson` has read the value."""
    match value:
        case dict():
            _check_values([*value, *value.values()])
        case list():
            for item in value:
                _check_values(item)
        case str() if "\0" not in value:
            pass
        # False for NaN. A larger float may have been an integer that lost its last digits.
        case float() if -(2.0**63) < value < 2.0**63:
            pass
        case int() | None:
            pass
        case _:
            raise ValueError


def _uuid(value: object) -> object:
    value = _unwrap_kombu(value)
    if isinstance(value, bytes):
        raise ValueError  # noqa: TRY004 - pydantic expects a ValueError
    return value


Identifier = Annotated[str, StringConstraints(strict=True, pattern=rf"^[^\x00]{{1,{IDENTIFIER_CHARACTERS}}}$")]
IDENTIFIER_RULE: Final = f"a string of 1–{IDENTIFIER_CHARACTERS} characters without NUL"
Platform = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9_-]{1,32}$")]
PLATFORM_RULE: Final = "a slug of 1–32 characters a–z, 0–9, _ or -, for example discord, telegram or irc"
Time = Annotated[datetime, BeforeValidator(parse_time, json_schema_input_type=datetime)]
TIME_RULE: Final = (
    "an RFC 3339 date and time with an offset, for example 2026-03-29T01:30:00.5+02:00, "
    "not before 2000-01-01 and at most 5 minutes in the future"
)


class Event(BaseModel):
    """One action of one account at one time. The description of each field is its rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="participation event")

    event_type: Annotated[EventType, BeforeValidator(_require_string)] = Field(
        description=f"one of {', '.join(EventType)}"
    )
    platform: Platform = Field(description=PLATFORM_RULE)
    community_id: Identifier = Field(description=f"{IDENTIFIER_RULE}, the same for all bots that serve one community")
    member_id: Identifier = Field(
        description=f"{IDENTIFIER_RULE}, the platform's account id, never a number: large ids would lose digits"
    )
    channel_id: Identifier | None = Field(None, description=f"{IDENTIFIER_RULE}, or null")
    object_id: Identifier | None = Field(
        None, description=f"{IDENTIFIER_RULE}, or null: the platform's id of the message that was sent or reacted to"
    )
    object_author_id: Identifier | None = Field(
        None, description=f"{IDENTIFIER_RULE}, or null: the account that wrote the message that was reacted to"
    )
    actor_kind: Annotated[ActorKind, BeforeValidator(_require_string)] = Field(
        ActorKind.USER, description=f"one of {', '.join(ActorKind)}"
    )
    occurred_at: Time = Field(description=TIME_RULE)
    metadata: Annotated[dict[str, Any], BeforeValidator(_metadata)] = Field(
        default_factory=dict,
        description="a JSON object of at most 4,096 bytes as UTF-8 JSON, with numbers within 64 bits and without NUL; "
        "the emoji of a reaction is in `emoji`",
    )
    event_id: Annotated[UUID | None, BeforeValidator(_uuid)] = Field(
        None, description="a UUID, or null: then it is derived from the event's values"
    )


def decode(value: object) -> Event:
    """Return the event in a JSON object, given as a `dict`. An `Event` is returned as it is.

    `occurred_at` may also be an aware `datetime`. Raises `InvalidEvent`, which names the first field that breaks its
    rule.
    """
    return value if isinstance(value, Event) else validate(Event, value, "event")


def validate(model: type[Model], value: object, noun: str) -> Model:
    """Return the value as the model, whose fields have their rules as descriptions. noun: what the value is.

    Raises `InvalidEvent`, which names the first field that breaks its rule.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _invalid(error, model, value, noun) from error


def check(**fields: str) -> None:
    """Check single values against the rules of the fields with the same names. Raises `InvalidEvent`."""
    rest = {"event_type": "MESSAGE_SENT", "platform": "x", "community_id": "x", "member_id": "x"}
    decode({**rest, "occurred_at": EARLIEST, **fields})


def _invalid(error: ValidationError, model: type[BaseModel], raw: object, noun: str) -> InvalidEvent:
    first = error.errors(include_url=False, include_context=False)[0]
    if not first["loc"] or not isinstance(raw, Mapping):
        return InvalidEvent(noun, "must be one JSON object", raw)
    name = str(first["loc"][0])
    if name not in model.model_fields:
        name = name if name.isprintable() and len(name) <= QUOTED else short(name)
        fields = ", ".join(model.model_fields)
        article = "an" if noun[0] in "aeiou" else "a"
        return InvalidEvent(name, f"is not a field of {article} {noun}; the fields are {fields}", raw)
    rule = model.model_fields[name].description
    if first["type"] == "missing":
        return InvalidEvent(name, f"is missing; it must be {rule}", raw)
    return InvalidEvent(name, f"must be {rule}; got {short(raw.get(name))}", raw)


def quoted(text: str) -> str:
    """Quote a name that a person wrote, cut off if it is long."""
    return repr(text) if len(text) <= QUOTED else short(text)


def short(value: object) -> str:
    """Quote a value for an error message. A long value is cut off; of a deeply nested one only the type is named."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # hundreds of levels, or an integer of thousands of digits
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 20]}… ({len(text)} characters)"


def encode(event: Event) -> dict[str, Any]:
    """Return the event as the JSON object that is sent: without nulls and a derived `event_id`, the time in UTC."""
    return event.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def to_json(event: Event) -> bytes:
    """Return the JSON text of `encode(event)`. This is faster than two steps."""
    return event.__pydantic_serializer__.to_json(event, exclude_none=True, exclude_defaults=True)


def event_id(event: Event) -> UUID:
    """Return the `event_id` that the bot gave, or else the id derived from the event's values."""
    if event.event_id is not None:
        return event.event_id
    return UUID(derive_id(event, format_time(event.occurred_at)))


def format_time(occurred_at: datetime) -> str:
    """Write a UTC time, for example 2026-03-29T01:30:00+00:00. A fraction of a second has six digits."""
    return orjson.dumps(occurred_at)[1:-1].decode()


def derive_id(facts: Any, occurred_at: str) -> str:
    """Return the id derived from an event's values: a UUIDv5 (RFC 9562), as 32 hexadecimal digits.

    The name that is hashed is the JSON array of platform, community, channel, member, type, object, emoji and
    `occurred_at`, as `orjson` writes it. facts: an `Event`, or an object with the same attributes. occurred_at: as
    `format_time` writes it.
    """
    name = orjson.dumps(
        [
            facts.platform,
            facts.community_id,
            facts.channel_id,
            facts.member_id,
            facts.event_type,
            facts.object_id,
            facts.metadata.get("emoji"),
            occurred_at,
        ]
    )
    digest = sha1(IDENTITY.bytes + name, usedforsecurity=False).hexdigest()
    # Set the version to 5, and the variant in the two upper bits of its digit.
    return f"{digest[:12]}5{digest[13:16]}{'89ab'[int(digest[16], 16) & 3]}{digest[17:32]}"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event. `docs/event.schema.json` contains the same."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Event.model_json_schema()}
