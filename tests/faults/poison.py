"""List elements that no worker may stop for, hold up its neighbours for, or drop: each with its reason in dead_letters.

Every element holds a number, so that no two are the same bytes.
"""

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

TASK = "participation.track_event"


class Poison(NamedTuple):
    """What is pushed into the list, and the reason under which it must come to lie in `dead_letters`."""

    raw: bytes
    reason: str


def event(number: int, **values: Any) -> dict[str, Any]:
    return {
        "event_type": "MESSAGE_SENT",
        "platform": "irc",
        "community_id": "poisoned",
        "member_id": "mallory",
        "object_id": f"poison-{number}",
        "occurred_at": "2026-03-10T12:00:00Z",
        **values,
    }


def message(body: bytes, headers: Mapping[str, Any] | None = None, encoding: str = "base64", **parts: Any) -> bytes:
    """Write a Celery message around a body that may be anything, by hand."""
    carried = base64.b64encode(body).decode() if encoding == "base64" else body.decode()
    envelope = {
        "body": carried,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": TASK, "id": "1", **(headers or {})},
        "properties": {"body_encoding": encoding},
        **parts,
    }
    return json.dumps(envelope).encode()


def call(event: object, **parts: Any) -> bytes:
    return message(json.dumps([[event], {}, {}]).encode(), **parts)


def _changed(**values: Any) -> Callable[[int], bytes]:
    return lambda n: call(event(n, **values))


def _text(old: str, new: str) -> Callable[[int], bytes]:
    """Write an event whose JSON text holds what Python's own writer would not write."""
    return lambda n: message(
        json.dumps([[event(n, metadata={"v": old})], {}, {}]).encode().replace(json.dumps(old).encode(), new.encode())
    )


def _without(name: str) -> Callable[[int], bytes]:
    return lambda n: call({key: value for key, value in event(n).items() if key != name})


DEEP = 100_000

BOMB = zlib.compress(b"0" * 50_000_000)

KINDS: Mapping[str, tuple[str, Callable[[int], bytes]]] = {
    "not JSON": ("not_json", lambda n: b"\xff\x00 nothing %d" % n),
    "nested too deep": ("not_json", lambda n: b"[" * DEEP + b"%d" % n + b"]" * DEEP),
    "a number": ("not_a_message", lambda n: b"%d" % n),
    "an object without a body": ("not_a_message", lambda n: b'{"number": %d}' % n),
    "headers that are a list": ("not_a_message", lambda n: b'{"body": "W10=", "headers": [%d]}' % n),
    "pickle": (
        "content_type",
        lambda n: message(b"\x80\x04N.", {"id": n}, **{"content-type": "application/x-python-serialize"}),
    ),
    "YAML": ("content_type", lambda n: message(b"- 1", {"id": n}, **{"content-type": "application/x-yaml"})),
    "unknown compression": ("compression", lambda n: message(b"x", {"id": n, "compression": "application/zstd"})),
    "compressed, but it is not": (
        "compression",
        lambda n: message(b"x", {"id": n, "compression": "application/x-gzip"}),
    ),
    "unpacks to 50 MB": (
        "compression",
        lambda n: message(BOMB, {"id": n, "compression": "application/x-gzip"}),
    ),
    "unknown task": ("unknown_task", lambda n: call(event(n), headers={"task": "other.task"})),
    "no arguments": ("arguments", lambda n: message(b"[[], {}, {}]", {"id": n})),
    "two arguments": ("arguments", lambda n: message(json.dumps([[event(n), 1], {}, {}]).encode())),
    "another keyword": ("arguments", lambda n: message(json.dumps([[], {"events": event(n)}, {}]).encode())),
    "body is not base64": (
        "bad_body",
        lambda n: json.dumps(
            {"body": f"§{n}", "headers": {"task": TASK}, "properties": {"body_encoding": "base64"}}
        ).encode(),
    ),
    "body is not UTF-8": ("bad_body", lambda n: message(b'[["\xff\xfe%d"], {}, {}]' % n)),
    "lone surrogate": ("bad_body", _text("X", '"\\ud800"')),
    "NaN": ("bad_body", _text("X", "NaN")),
    "Infinity": ("bad_body", _text("X", "-Infinity")),
    "metadata of 100,000 levels": ("bad_body", _text("X", "[" * DEEP + "]" * DEEP)),
    "unknown event type": ("invalid_event", _changed(event_type="SANG")),
    "unknown field": ("invalid_event", _changed(colour="red")),
    "missing field": ("invalid_event", _without("occurred_at")),
    "NUL in a field": ("invalid_event", _changed(member_id="a\0b")),
    "NUL in metadata": ("invalid_event", _changed(metadata={"v": ["\0"]})),
    "NUL in a key of metadata": ("invalid_event", _changed(metadata={"\0": 1})),
    "integer beyond 64 bits": ("invalid_event", _changed(metadata={"v": 2**70})),
    "4 MB of metadata": ("invalid_event", _changed(metadata={"v": "x" * 4_000_000})),
    "256 characters in a key column": ("invalid_event", _changed(community_id="c" * 256)),
    "a number as an id": ("invalid_event", _changed(member_id=80351110224678912)),
    "year 1": ("invalid_event", _changed(occurred_at="0001-01-01T00:00:00+14:00")),
    "year 9999": ("invalid_event", _changed(occurred_at="9999-12-31T23:59:59-14:00")),
    "year 294277": ("invalid_event", _changed(occurred_at="294277-01-01T00:00:00Z")),
    "time without offset": ("invalid_event", _changed(occurred_at="2026-03-10T12:00:00")),
    "an event that is no object": ("invalid_event", lambda n: call(f"event {n}")),
}
"""Every kind: its name, the reason it must get, and how to write number n of it."""


def poison(kind: str, number: int) -> Poison:
    reason, write = KINDS[kind]
    return Poison(write(number), reason)
