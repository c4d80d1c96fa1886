"""The wire contract: what an event is, how it is written, read and recognised.

A bot hands in a JSON object (or an `Event`); `decode` turns it into an `Event` or says what is wrong with it;
`encode` writes it back as the JSON object that travels; `event_id` is its identity.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha1
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from participation.errors import InvalidEvent
from participation.limits import AHEAD, EARLIEST, IDENTIFIER_CHARACTERS, METADATA_BYTES

QUOTED: Final = 80
"""Most characters of a value that an error quotes."""

IDENTITY: Final = UUID("5f6e3c1c-2b0a-5d0f-9a55-6d2f6a2f7c11")
"""Namespace of every derived `event_id`."""

RFC_3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt](?!24)\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:[0-5]\d)", re.ASCII
)


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
    """Who did it. Only what a `user` did counts in highlights."""

    USER = "user"
    BOT = "bot"
    WEBHOOK = "webhook"
    ANONYMOUS = "anonymous"


def _unwrap_kombu(value: object) -> object:
    """Unwrap what kombu's JSON makes of a `datetime` or `UUID` that a bare Celery program passes."""
    if isinstance(value, dict) and value.keys() == {"__type__", "__value__"}:
        inner = value["__value__"]
        return inner["hex"] if isinstance(inner, dict) and inner.keys() == {"hex"} else inner
    return value


def _name(value: object) -> str:
    """Refuse what is no string before the enumeration looks for it and fails to quote a value that is too deep."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - what pydantic takes for a broken rule
    return value


def parse_time(value: object) -> datetime:
    """Read a moment, in UTC to the microsecond (further digits are cut off); raise `ValueError` for what is none."""
    if not isinstance(value, str):
        value = _unwrap_kombu(value)
    if isinstance(value, str) and RFC_3339.fullmatch(value):
        value = datetime.fromisoformat(value.upper())
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise ValueError
    # Compared before it is converted: a year 1 or 9999 with an offset does not fit into UTC.
    if value < EARLIEST or value > datetime.now(UTC) + AHEAD:
        raise ValueError
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _metadata(value: object) -> dict[str, Any]:
    """Check that the metadata can be kept unchanged in PostgreSQL's `jsonb`."""
    try:
        too_long = len(orjson.dumps(value)) > METADATA_BYTES
    except orjson.JSONEncodeError as error:
        raise ValueError from error
    if not isinstance(value, dict) or too_long:
        raise ValueError
    _check_values(value)
    return value


def _check_values(value: object) -> None:
    """Refuse what JSON or `jsonb` cannot hold. Depth is bounded: `orjson` has already walked the value."""
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
        raise ValueError  # noqa: TRY004 - what pydantic takes for a broken rule
    return value


Identifier = Annotated[str, StringConstraints(strict=True, pattern=rf"^[^\x00]{{1,{IDENTIFIER_CHARACTERS}}}$")]
_IDENTIFIER: Final = f"a string of 1–{IDENTIFIER_CHARACTERS} characters without NUL"


class Event(BaseModel):
    """One thing that one account did at one moment. The text of each field is its rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="participation event")

    event_type: Annotated[EventType, BeforeValidator(_name)] = Field(description=f"one of {', '.join(EventType)}")
    platform: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9_-]{1,32}$")] = Field(
        description="a slug of 1–32 characters a–z, 0–9, _ or -, as in discord, telegram, irc"
    )
    community_id: Identifier = Field(description=f"{_IDENTIFIER}, the same for all bots that serve one community")
    member_id: Identifier = Field(
        description=f"{_IDENTIFIER}, the platform's account id, never a number: large ids would lose digits"
    )
    channel_id: Identifier | None = Field(None, description=f"{_IDENTIFIER}, or null")
    object_id: Identifier | None = Field(
        None, description=f"{_IDENTIFIER}, or null: the platform's id of the message sent or reacted to"
    )
    object_author_id: Identifier | None = Field(
        None, description=f"{_IDENTIFIER}, or null: who wrote the message reacted to"
    )
    actor_kind: Annotated[ActorKind, BeforeValidator(_name)] = Field(
        ActorKind.USER, description=f"one of {', '.join(ActorKind)}"
    )
    occurred_at: Annotated[datetime, BeforeValidator(parse_time, json_schema_input_type=datetime)] = Field(
        description="RFC 3339 date and time with an offset, as 2026-03-29T01:30:00.5+02:00, "
        "not before 2000-01-01 and at most 5 minutes ahead of the clock"
    )
    metadata: Annotated[dict[str, Any], BeforeValidator(_metadata)] = Field(
        default_factory=dict,
        description="a JSON object of at most 4,096 bytes as UTF-8 JSON, with numbers within 64 bits and without NUL; "
        "the emoji of a reaction is its `emoji`",
    )
    event_id: Annotated[UUID | None, BeforeValidator(_uuid)] = Field(
        None, description="a UUID, or null: derived from the event's values when absent"
    )


def decode(value: object) -> Event:
    """Read an event: a JSON object as `dict` (in Python `occurred_at` may be an aware `datetime`), or an `Event`.

    Raises `InvalidEvent`, naming the first field that breaks its rule.
    """
    if isinstance(value, Event):
        return value
    try:
        return Event.model_validate(value)
    except ValidationError as error:
        raise _invalid(error, value) from error


def check(**fields: str) -> None:
    """Hold single values to the rules of the fields they are named for; raise `InvalidEvent` if one breaks its rule."""
    rest = {"event_type": "MESSAGE_SENT", "platform": "x", "community_id": "x", "member_id": "x"}
    decode({**rest, "occurred_at": EARLIEST, **fields})


def _invalid(error: ValidationError, raw: object) -> InvalidEvent:
    first = error.errors(include_url=False, include_context=False)[0]
    if not first["loc"] or not isinstance(raw, Mapping):
        return InvalidEvent("event", "must be one JSON object", raw)
    name = str(first["loc"][0])
    if name not in Event.model_fields:
        name = name if name.isprintable() and len(name) <= QUOTED else short(name)
        return InvalidEvent(name, f"is not a field of an event; the fields are {', '.join(Event.model_fields)}", raw)
    rule = Event.model_fields[name].description
    if first["type"] == "missing":
        return InvalidEvent(name, f"is missing; it must be {rule}", raw)
    return InvalidEvent(name, f"must be {rule}; got {short(raw.get(name))}", raw)


def short(value: object) -> str:
    """Quote a value for people, however long or deep it is."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # hundreds of levels, or an integer of thousands of digits
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 20]}… ({len(text)} characters)"


def encode(event: Event) -> dict[str, Any]:
    """Write an event as the JSON object that travels: no nulls, the moment in UTC, no derived `event_id`."""
    return event.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def to_json(event: Event) -> bytes:
    """Write what `encode` returns as JSON, which is faster at once than in two steps."""
    return event.__pydantic_serializer__.to_json(event, exclude_none=True, exclude_defaults=True)


def event_id(event: Event) -> UUID:
    """Return the event's identity: its own `event_id`, else the one derived from what makes it one event."""
    if event.event_id is not None:
        return event.event_id
    return UUID(derive_id(event, format_time(event.occurred_at)))


def format_time(occurred_at: datetime) -> str:
    """Write a moment in UTC as in 2026-03-29T01:30:00+00:00, with six digits of a fraction if there is one."""
    return orjson.dumps(occurred_at)[1:-1].decode()


def derive_id(facts: Any, occurred_at: str) -> str:
    """Return the UUIDv5 (RFC 9562) of what makes it one event, as 32 hexadecimal digits.

    The name that is hashed is the JSON array of platform, community, channel, member, type, object, emoji and
    `format_time`, as `orjson` writes it. facts: an `Event`, or what has its attributes.
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
    # The version, and the variant in the two upper bits of its digit.
    return f"{digest[:12]}5{digest[13:16]}{'89ab'[int(digest[16], 16) & 3]}{digest[17:32]}"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event, as `docs/event.schema.json` has it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Event.model_json_schema()}
