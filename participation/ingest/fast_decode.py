"""③ The fast path: a compiled decoder reads and checks the messages of our own clients in one step.

`decode` reads all other messages, valid or not. It is slower, and says what is wrong. If this returns a row, `decode`
would return the same row. The only exception is a message with a number beyond 64 bits in an unused header.
"""

from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
import orjson

from participation import event, limits, message
from participation.store.ingest.events import NULL, Row

_Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.IDENTIFIER_CHARACTERS)]


class _Headers(msgspec.Struct, gc=False):
    task: Literal["participation.track_event"]
    import_id: Annotated[str, msgspec.Meta(max_length=45)] | None = None  # the longest way to write a UUID
    sent_at: float | None = None
    compression: None = None


class _Properties(msgspec.Struct, gc=False):
    body_encoding: Literal["base64"]


class _Envelope(msgspec.Struct, gc=False):
    body: bytes  # given as base64
    headers: _Headers
    properties: _Properties
    content_type: Literal["application/json"] = msgspec.field(name="content-type", default="application/json")


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    event_type: event.EventType
    platform: str
    community_id: _Identifier
    member_id: _Identifier
    occurred_at: str
    channel_id: _Identifier | None = None
    object_id: _Identifier | None = None
    object_author_id: _Identifier | None = None
    actor_kind: event.ActorKind = event.ActorKind.USER
    metadata: dict[str, str | int | bool | None] = {}
    event_id: None = None


class _NoArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Keyword arguments, of which there must be none."""


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_BODY: Final = msgspec.json.Decoder(tuple[tuple[_Event], _NoArguments, dict[str, object]])

_NO_METADATA: Final = "{}"

# The errors of the decoders and rules for anything unusual, and of orjson for numbers beyond 64 bits.
_UNUSUAL: Final = (msgspec.DecodeError, ValueError, TypeError, RecursionError)


def decode_row(raw: bytes) -> Row | None:
    """Return the event of a list element as a row, or None if `decode` has to read it."""
    if not raw.isascii():  # the decoder does not check the encoding of the parts that it skips
        return None
    try:
        envelope = _ENVELOPE.decode(raw)
        # Without a backslash there are no escapes in the JSON, so no value needs escaping for COPY.
        if b"\\" in envelope.body:
            return None
        ((item,), _, _) = _BODY.decode(envelope.body)
        occurred_at = event.format_time(event.parse_time(item.occurred_at))
        return Row(
            item.community_id,
            occurred_at,
            event.derive_id(item, occurred_at),
            _platform(item.platform),
            item.event_type,
            item.channel_id or NULL,
            item.member_id,
            item.object_id or NULL,
            item.object_author_id or NULL,
            item.actor_kind,
            _metadata(item.metadata) if item.metadata else _NO_METADATA,
            NULL if envelope.headers.import_id is None else _import_id(envelope.headers.import_id),
        )
    except _UNUSUAL:
        return None


@lru_cache(maxsize=256)
def _platform(name: str) -> str:
    """Check the platform against its rule, once for each platform."""
    event.check(platform=name)
    return name


def _metadata(value: dict[str, str | int | bool | None]) -> str:
    text = orjson.dumps(value)
    if len(text) > limits.METADATA_BYTES:
        raise ValueError
    return text.decode()


@lru_cache(maxsize=64)
def _import_id(given: str) -> str:
    """Check the id once for each import, because all events of an import have the same id."""
    return message.import_id(given) or NULL
