"""The envelope: the Celery message, as it lies in a Redis list, that carries one event or points to a batch.

`encode` writes the message that a stock Celery client would write; `decode` reads what stock clients in any
language write: protocol 2 and 1, every `body_encoding`, compressed or not, with the optional keys or without.
What a message asks Celery to do (`eta`, `expires`, `callbacks`, …) is never acted on: the event has happened.
"""

import binascii
import bz2
import lzma
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import orjson

from participation.errors import InvalidEvent
from participation.event import short
from participation.keys import EVENTS, FLUSH, FLUSH_BATCH, TRACK_EVENT

UNPACKED_BYTES: Final = 1_048_576
"""Most bytes to which a compressed body may unpack. An event is below 16 KiB."""

LZMA_BYTES: Final = 134_217_728
"""Most memory that unpacking may take: LZMA takes what the message asks for, 65 MiB at its strongest preset."""

EMBED: Final[dict[str, None]] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


@dataclass(frozen=True, slots=True)
class Message:
    """What participation reads from a message. `event` is not validated yet."""

    event: object
    import_id: str | None = None
    sent_at: float | None = None


def headers(import_id: object = None) -> dict[str, Any]:
    """Return the headers that participation adds to Celery's: when the event was sent, and by which import."""
    sent = {"sent_at": round(time.time(), 3)}
    return sent if import_id is None else {**sent, "import_id": str(import_id)}


def encode(event: object, import_id: object = None, task_id: str | None = None) -> bytes:
    """Write the message (protocol 2) for an event that `participation.event.encode` has written."""
    return task(TRACK_EVENT, EVENTS, event, "(…)", headers(import_id), task_id=task_id)


def pointer(batch_id: str) -> bytes:
    """Write the message (protocol 2) of the task that stores a claimed batch."""
    return task(FLUSH_BATCH, FLUSH, batch_id, f"('{batch_id}',)", {})


def task(  # noqa: PLR0913 - what a message of Celery's says, each part by its name
    name: str, queue: str, argument: object, shown: str, more: Mapping[str, Any], *, task_id: str | None = None
) -> bytes:
    """Write what a stock client writes into a queue's list for a task with one argument.

    shown: how Flower and logs show the arguments. more: headers beside Celery's own. task_id: a new one if None.
    """
    task_id = task_id or str(uuid4())
    body = orjson.dumps([[argument], {}, EMBED])
    message = {
        "body": binascii.b2a_base64(body, newline=False).decode("ascii"),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": name,
            "id": task_id,
            "root_id": task_id,
            "parent_id": None,
            "group": None,
            "eta": None,
            "expires": None,
            "retries": 0,
            "timelimit": [None, None],
            "argsrepr": shown,
            "kwargsrepr": "{}",
            "ignore_result": True,
            **more,
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": None,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": task_id,
        },
    }
    return orjson.dumps(message)


def decode(raw: bytes) -> Message:
    """Read one element of the events list; raise `InvalidEvent`, whose code names what is wrong with it."""
    envelope = _json(raw, "message", "not_json")
    if not isinstance(envelope, dict) or "body" not in envelope:
        raise InvalidEvent("message", "must be a Celery message: a JSON object with a body", raw, "not_a_message")
    parts = {name: envelope.get(name) or {} for name in ("headers", "properties")}
    if not all(isinstance(part, dict) for part in parts.values()):
        raise InvalidEvent("message", "headers and properties must be JSON objects", raw, "not_a_message")
    header = parts["headers"]
    body = _body(envelope, header, parts["properties"])
    args, kwargs = _call(header, body)
    return Message(only_event(args, kwargs), _text(header.get("import_id")), _number(header.get("sent_at")))


def only_event(args: object, kwargs: object) -> object:
    """Return the event out of a call's arguments, positional or by its name; raise `InvalidEvent` for another call."""
    match args, kwargs:
        case ([event], {**rest}) if not rest:
            return event
        case ([], {"event": event, **rest}) if not rest:
            return event
    raise InvalidEvent("arguments", "must be exactly one: event", [args, kwargs], "arguments")


def _json(text: bytes | str, part: str, code: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidEvent(part, f"must be JSON ({error})", text, code) from error


def _body(envelope: Mapping[str, Any], header: Mapping[str, Any], properties: Mapping[str, Any]) -> object:
    body = envelope["body"]
    content_type = envelope.get("content-type") or "application/json"
    if content_type != "application/json":
        raise InvalidEvent("content-type", f"must be application/json, not {short(content_type)}", body, "content_type")
    if isinstance(body, list | dict):
        return body
    if not isinstance(body, str):
        raise InvalidEvent("body", "must be a string, an array or an object", body, "bad_body")
    data = _unpack(_bytes(body, properties.get("body_encoding")), header.get("compression"))
    return _json(data, "body", "bad_body")


def _bytes(body: str, encoding: object) -> bytes:
    match encoding:
        case "base64":
            try:
                return binascii.a2b_base64(body, strict_mode=True)
            except ValueError as error:
                raise InvalidEvent("body", f"must be base64 ({error})", body, "bad_body") from error
        case "utf-8" | "utf8" | None:
            return body.encode()
    raise InvalidEvent("body_encoding", "must be base64, utf-8 or absent", encoding, "bad_body")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_DECOMPRESSORS: Final[dict[object, Callable[[], _Decompressor]]] = {
    "application/x-gzip": zlib.decompressobj,  # kombu's name for what is zlib's format
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": partial(lzma.LZMADecompressor, memlimit=LZMA_BYTES),
}


def _unpack(data: bytes, compression: object) -> bytes:
    if compression is None:
        return data
    if not isinstance(compression, str) or compression not in _DECOMPRESSORS:
        raise InvalidEvent("compression", f"must be one of {', '.join(map(str, _DECOMPRESSORS))}", data, "compression")
    decompressor = _DECOMPRESSORS[compression]()
    try:
        unpacked = decompressor.decompress(data, UNPACKED_BYTES + 1)
    except (zlib.error, OSError, lzma.LZMAError) as error:
        raise InvalidEvent("body", f"must be what its compression says ({error})", data, "compression") from error
    if len(unpacked) > UNPACKED_BYTES:
        raise InvalidEvent("body", f"must unpack to at most {UNPACKED_BYTES:,} bytes", data, "compression")
    if not decompressor.eof:
        raise InvalidEvent("body", "must be compressed data to its end", data, "compression")
    return unpacked


def _call(header: Mapping[str, Any], body: object) -> tuple[object, object]:
    """Return the arguments of the call, wherever the protocol has them."""
    if "task" in header:
        task, parts = header["task"], body
        if not isinstance(parts, list):
            raise InvalidEvent("body", "must be an array of arguments and keyword arguments", body, "arguments")
        args, kwargs = [*parts, None, None][:2]
    elif isinstance(body, dict):
        task, args, kwargs = body.get("task"), body.get("args"), body.get("kwargs")
    else:
        raise InvalidEvent("message", "must name its task, in its headers or its body", body, "not_a_message")
    if task != TRACK_EVENT:
        raise InvalidEvent("task", f"must be {TRACK_EVENT}, not {short(task)}", body, "unknown_task")
    return args or [], kwargs or {}


def _text(value: object) -> str | None:
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
