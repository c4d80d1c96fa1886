"""The Celery message in a Redis list. It contains one event, one notice, or a pointer to a batch.

`encode` writes messages that a stock worker can read, in ASCII and without optional parts. `decode` reads the messages
of stock clients in any language: protocols 1 and 2, every `body_encoding`, compressed or not, with or without optional
keys. Instructions for Celery in a message (`eta`, `expires`, `callbacks`, …) are ignored, because the event has already
happened.
"""

import binascii
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import urandom
from typing import Any, Final
from uuid import UUID

import orjson

from participation.compression import CODECS, ERRORS, UNPACKED_BYTES, Decompressor
from participation.errors import InvalidEvent
from participation.event import short
from participation.keys import EVENTS, FLUSH, FLUSH_BATCH, NOTE_NAMES, NOTE_PRESENCE, TRACK_EVENT

_DECOMPRESSORS: Final[dict[object, Callable[[], Decompressor]]] = {
    codec.content_type: codec.decompressor for codec in CODECS
}

_ENVELOPE: Final = (
    '{"body":"%b","content-encoding":"utf-8","content-type":"application/json",'
    '"headers":{"lang":"py","task":"TASK","id":"%b","root_id":"%b","parent_id":null,"group":null,'
    '"timelimit":[null,null],"argsrepr":"%b"%b},'
    '"properties":{"correlation_id":"%b","delivery_info":{"exchange":"","routing_key":"QUEUE"},'
    '"body_encoding":"base64","delivery_tag":"%b"}}'
)
"""The fields that Celery's protocol 2, kombu and the clients in other languages require. For example, celery-node
requires the encoding, and rusty-celery the time limits. Fields for which all of them have a default are left out: they
would make a message half as large again."""


def _template(task: str, queue: str) -> bytes:
    return _ENVELOPE.replace("TASK", task).replace("QUEUE", queue).encode("ascii")


ARGUMENTS: Final = {TRACK_EVENT: "event", NOTE_NAMES: "names", NOTE_PRESENCE: "notice"}
"""The tasks in the events queue, and the name of the only argument of each."""

_TEMPLATES: Final = {task: _template(task, EVENTS) for task in ARGUMENTS}
_TRACK_EVENT: Final = _TEMPLATES[TRACK_EVENT]
_FLUSH_BATCH: Final = _template(FLUSH_BATCH, FLUSH)


@dataclass(frozen=True, slots=True)
class Message:
    """The parts of a message that participation reads. task: one of `ARGUMENTS`. argument: not validated yet."""

    task: str
    argument: object
    import_id: str | None = None
    sent_at: float | None = None


def sent_at_header() -> dict[str, Any]:
    """Return the header that participation adds to Celery's: the time of sending, in seconds since 1970."""
    return {"sent_at": round(time.time(), 3)}


def encode(event: object, import_id: object = None) -> bytes:
    """Return the message (protocol 2) for an event, given as `participation.event.encode` returns it."""
    return encode_json(orjson.dumps(event), import_id)


def encode_json(event: bytes, import_id: object = None, task_id: str | None = None) -> bytes:
    """Return the message (protocol 2) for an event, given as JSON. task_id: None for a new id."""
    more = b',"sent_at":%.3f' % time.time()
    if import_id is not None:
        more += b',"import_id":"%b"' % str(import_id).encode()
    return _write(_TRACK_EVENT, event, b"(...)", more, task_id or new_id())


def encode_pointer(batch_id: str) -> bytes:
    """Return the message (protocol 2) of the task that stores a claimed batch."""
    return _write(_FLUSH_BATCH, b'"%b"' % batch_id.encode(), b"('%b',)" % batch_id.encode(), b"", new_id())


def encode_call(task: str, argument: bytes) -> bytes:
    """Return the message (protocol 2) of any task in `ARGUMENTS`. argument: an event or a notice, as JSON."""
    return _write(_TEMPLATES[task], argument, b"(...)", b',"sent_at":%.3f' % time.time(), new_id())


def new_id() -> str:
    """Return a new id for a task: a UUID of version 4, in a third of the time that `uuid4` takes."""
    digits = urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _write(template: bytes, argument: bytes, shown: bytes, more: bytes, task_id: str) -> bytes:
    """Fill in a template for a task with one argument, given as JSON.

    shown: the arguments as Flower and logs show them. more: additional headers. Both are already written as JSON.
    """
    body = binascii.b2a_base64(b"[[%b],{},{}]" % argument, newline=False)
    one = task_id.encode()
    return template % (body, one, one, shown, more, one, one)


def decode(raw: bytes) -> Message:
    """Read one element of the events list. Raises `InvalidEvent`, whose `code` says what is wrong with it."""
    envelope = _json(raw, "message", "not_json")
    if not isinstance(envelope, dict) or "body" not in envelope:
        raise InvalidEvent("message", "must be a Celery message: a JSON object with a body", raw, "not_a_message")
    parts = {name: envelope.get(name) or {} for name in ("headers", "properties")}
    if not all(isinstance(part, dict) for part in parts.values()):
        raise InvalidEvent("message", "headers and properties must be JSON objects", raw, "not_a_message")
    header = parts["headers"]
    body = _body(envelope, header, parts["properties"])
    task, args, kwargs = _call(header, body)
    return Message(
        task, only_argument(task, args, kwargs), import_id(header.get("import_id")), _number(header.get("sent_at"))
    )


def only_argument(task: str, args: object, kwargs: object) -> object:
    """Return the only argument of a call of the task, given by position or by its name.

    Raises `InvalidEvent` for any other arguments.
    """
    name = ARGUMENTS[task]
    match args, kwargs:
        case ([argument], {**rest}) if not rest:
            return argument
        case ([], {**rest}) if rest.keys() == {name}:
            return rest[name]
    raise InvalidEvent("arguments", f"must be exactly one, named {name}", [args, kwargs], "arguments")


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


def _unpack(data: bytes, compression: object) -> bytes:
    if compression is None:
        return data
    if not isinstance(compression, str) or compression not in _DECOMPRESSORS:
        raise InvalidEvent("compression", f"must be one of {', '.join(map(str, _DECOMPRESSORS))}", data, "compression")
    decompressor = _DECOMPRESSORS[compression]()
    try:
        unpacked = decompressor.decompress(data, UNPACKED_BYTES + 1)
    except ERRORS as error:
        raise InvalidEvent(
            "body", f"must be in the format of its compression ({error})", data, "compression"
        ) from error
    if len(unpacked) > UNPACKED_BYTES:
        raise InvalidEvent("body", f"must unpack to at most {UNPACKED_BYTES:,} bytes", data, "compression")
    if not decompressor.eof:
        raise InvalidEvent("body", "must be complete compressed data", data, "compression")
    return unpacked


def _call(header: Mapping[str, Any], body: object) -> tuple[str, object, object]:
    """Return the task and the arguments of the call. Each protocol has them in a different place."""
    if "task" in header:
        task, parts = header["task"], body
        if not isinstance(parts, list):
            raise InvalidEvent("body", "must be an array of arguments and keyword arguments", body, "arguments")
        args, kwargs = [*parts, None, None][:2]
    elif isinstance(body, dict):
        task, args, kwargs = body.get("task"), body.get("args"), body.get("kwargs")
    else:
        raise InvalidEvent("message", "must name its task, in its headers or its body", body, "not_a_message")
    if not isinstance(task, str) or task not in ARGUMENTS:
        names = ", ".join(ARGUMENTS)
        raise InvalidEvent("task", f"must be one of {names}, not {short(task)}", body, "unknown_task")
    return task, args or [], kwargs or {}


def import_id(value: object) -> str | None:
    """Return the id of an import from the value of a header, or None if the value is not a UUID."""
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
