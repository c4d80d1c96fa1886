"""The envelope: what stock clients of several languages write is read, and every poison is refused with its code."""

import base64
import bz2
import json
import lzma
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from celery.worker.request import Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu import Connection
from kombu.compression import compress
from kombu.transport.virtual import Message as KombuMessage
from kombu.utils.json import dumps as kombu_dumps

from participation import event, message
from participation.errors import InvalidEvent
from participation.ingest.decode import decode_batch
from participation.keys import EVENTS, FLUSH, FLUSH_BATCH, NOTE_PRESENCE, TRACK_EVENT
from participation.message import Message, decode, encode
from tests.rows import event as valid_event

EVENT = valid_event(metadata={"emoji": "⚓", "a": [1, None, 2.5]})
IMPORT_ID = UUID("0192f0c1-2d3e-7a4b-8c5d-6e7f80912a3b")
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "application/x-gzip": zlib.compress,
    "application/x-bz2": bz2.compress,
    "application/x-lzma": lzma.compress,
}


def refusal(raw: bytes) -> InvalidEvent:
    """Return the error with which `decode` refuses the list element."""
    with pytest.raises(InvalidEvent) as caught:
        decode(raw)
    return caught.value


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def v2(*parts: object, body: object = None, **changes: object) -> bytes:
    """Return a message of protocol 2 with only what is needed; `changes` go over its outermost keys."""
    text = b64(json.dumps(parts or [[EVENT], {}, {}]).encode()) if body is None else body
    headers = {"task": TRACK_EVENT, "id": "1"}
    envelope = {"body": text, "headers": headers, "properties": {"body_encoding": "base64"}, **changes}
    return json.dumps(envelope).encode()


def v1(**body: object) -> bytes:
    """Return a message of protocol 1 with only what is needed."""
    call = {"task": TRACK_EVENT, "id": "1", "args": [EVENT], "kwargs": {}, **body}
    text = b64(json.dumps(call).encode())
    return json.dumps({"body": text, "properties": {"body_encoding": "base64"}}).encode()


def packed(data: bytes, compression: object, encoding: str | None = "base64") -> bytes:
    """Return a message of protocol 2 whose body is these compressed bytes."""
    headers = {"task": TRACK_EVENT, "id": "1", "compression": compression}
    return v2(body=b64(data), headers=headers, properties={"body_encoding": encoding})


# ---- what we write ----


@pytest.fixture
def channel() -> Iterator[Any]:
    """kombu's own channel, which keeps its messages in this process."""
    with Connection("memory://") as connection:
        yield connection.default_channel


def as_kombu_reads(raw: bytes, channel: Any) -> Any:
    return KombuMessage(json.loads(raw), channel=channel, accept={"application/json"})


def test_encode__writes_what_kombu_reads(channel: Any) -> None:
    """kombu finds the call where protocol 2 has it: arguments in the body, the task in the headers."""
    got = as_kombu_reads(encode(EVENT), channel)
    assert got.decode() == [[EVENT], {}, {}]
    assert got.headers["task"] == TRACK_EVENT
    assert got.content_type == "application/json"
    assert got.delivery_info == {"exchange": "", "routing_key": EVENTS}


def test_encode__writes_what_a_stock_worker_runs(channel: Any) -> None:
    """Celery's worker makes of the message a request for the task with the event as its only argument."""
    app = Celery("worker", broker="memory://", set_as_current=False)

    @app.task(shared=False)
    def stock(event: object) -> None:
        """Take one argument."""

    got = as_kombu_reads(encode(EVENT), channel)
    request: Any = Request(got, app=app, task=stock)
    assert (request.name, request.args, request.kwargs) == (TRACK_EVENT, [EVENT], {})
    assert request.id == got.properties["correlation_id"] == got.delivery_tag
    assert (request.eta, request.expires, request.utc, *request.time_limits) == (None, None, True, None, None)
    assert (request.chord, request.errbacks, request.group) == (None, None, None)
    assert request.ignore_result is stock.ignore_result


def test_encode__names_every_message_differently(channel: Any) -> None:
    """Two messages of one event are two deliveries to whoever consumes the queue."""
    tags = {as_kombu_reads(encode(EVENT), channel).delivery_tag for _ in range(100)}
    assert len(tags) == 100


def test_encode__hides_the_event_from_who_lists_tasks(channel: Any) -> None:
    """The representations that Flower and logs show do not hold the event."""
    headers = as_kombu_reads(encode(EVENT), channel).headers
    assert headers["argsrepr"] == "(...)"
    assert "kwargsrepr" not in headers


def test_encode__writes_ascii() -> None:
    """Whatever the event says, the bytes in Redis are ASCII, and the event is read back as it was."""
    sent = {**EVENT, "member_id": "Ада ⚓", "metadata": {"emoji": "👍", "%b": '"\\\u2028'}}
    raw = encode(sent, IMPORT_ID)
    assert raw.isascii()
    assert decode(raw).argument == sent


def test_encode__is_small() -> None:
    """What Redis keeps beside the body of a message does not grow unnoticed."""
    raw = encode(EVENT)
    assert len(raw) - len(json.loads(raw)["body"]) <= 550


def test_pointer__is_a_stock_message_that_names_its_batch(channel: Any) -> None:
    """A worker runs the pointer with the batch's id, and whoever watches tasks sees it."""
    got = as_kombu_reads(message.encode_pointer("b1"), channel)
    assert got.decode() == [["b1"], {}, {}]
    assert (got.headers["task"], got.headers["argsrepr"]) == (FLUSH_BATCH, "('b1',)")
    assert got.delivery_info == {"exchange": "", "routing_key": FLUSH}
    assert message.encode_pointer("b1").isascii()


def test_notice__is_a_stock_message_with_one_object(channel: Any) -> None:
    """It travels in the queue of the events, with the notice as its only argument."""
    got = as_kombu_reads(
        message.encode_call(NOTE_PRESENCE, b'{"community_id":"\\u00e9\\"","is_present":false}'), channel
    )
    assert got.decode() == [[{"community_id": 'é"', "is_present": False}], {}, {}]
    assert got.headers["task"] == NOTE_PRESENCE
    assert got.delivery_info == {"exchange": "", "routing_key": EVENTS}


def test_new_id__is_a_random_uuid() -> None:
    """Ids look like those that Celery gives, and none comes twice."""
    ids = {message.new_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert {(UUID(one).version, str(UUID(one)) == one) for one in ids} == {(4, True)}


@pytest.mark.parametrize("import_id", [None, IMPORT_ID])
def test_decode__reads_what_encode_writes(import_id: UUID | None) -> None:
    """The event comes back unchanged, with the time of sending and the import that it belongs to."""
    before = datetime.now(UTC).timestamp()
    got = decode(encode(EVENT, import_id))
    after = datetime.now(UTC).timestamp()
    assert (got.argument, got.import_id) == (EVENT, None if import_id is None else str(import_id))
    assert got.sent_at is not None
    assert before - 0.001 <= got.sent_at <= after + 0.001


def test_headers__have_the_time_of_sending() -> None:
    """What goes through Celery's own publisher says as well when it was sent."""
    assert message.sent_at_header().keys() == {"sent_at"}


def test_encode__writes_what_celery_writes() -> None:
    """Beside the time of sending the message is Celery's own, without what a worker does without."""
    ours, stock = json.loads(encode(EVENT)), json.loads(as_celery_sends(2, [EVENT], {}))
    assert ours.keys() == stock.keys()
    assert (ours["content-encoding"], ours["content-type"]) == (stock["content-encoding"], stock["content-type"])
    assert ours["properties"].keys() == stock["properties"].keys() - {"reply_to", "delivery_mode", "priority"}
    assert ours["headers"].keys() - stock["headers"].keys() == {"sent_at"}
    required = {"lang", "task", "id", "root_id", "parent_id", "group"}
    assert ours["headers"].keys() == required | {"timelimit", "argsrepr", "sent_at"}
    same = ("lang", "task", "parent_id", "group", "timelimit")
    assert {name: ours["headers"][name] for name in same} == {name: stock["headers"][name] for name in same}
    assert ours["headers"]["root_id"] == ours["headers"]["id"]
    assert ours["properties"]["body_encoding"] == stock["properties"]["body_encoding"]


# ---- what stock clients write ----


def as_celery_sends(protocol: int, args: list[object], kwargs: dict[str, object], **options: Any) -> bytes:
    """Return the list element that a bare Celery program leaves in Redis; only its transport is another one."""
    with Celery("bot", broker="memory://", set_as_current=False) as app:
        app.conf.update(task_protocol=protocol, result_backend=None)
        app.send_task(TRACK_EVENT, args, kwargs, queue=EVENTS, **options)
        with app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            sent = channel._get(EVENTS)
    return kombu_dumps(sent).encode()


STOCK_OPTIONS: list[dict[str, Any]] = [
    {},
    {"countdown": 3600},
    {"eta": datetime(2030, 1, 1, tzinfo=UTC)},
    {"expires": 1},
    {"priority": 3},
    {"headers": {"trace": "x"}},
    {"compression": "zlib"},
    {"compression": "bzip2"},
    {"compression": "lzma"},
]


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("options", STOCK_OPTIONS, ids=str)
@pytest.mark.parametrize(("args", "kwargs"), [([EVENT], {}), ([], {"event": EVENT})], ids=["positional", "by name"])
def test_decode__reads_what_celery_sends(
    protocol: int, options: dict[str, Any], args: list[object], kwargs: dict[str, object]
) -> None:
    """Both protocols, the event by position or name, delayed, expiring or compressed: it has happened, so it counts."""
    assert decode(as_celery_sends(protocol, args, kwargs, **options)) == Message(TRACK_EVENT, EVENT)


def test_decode__reads_celerys_callbacks_and_ignores_them() -> None:
    """What a message asks to be done afterwards is not our business."""
    app = Celery("bot", broker="memory://", set_as_current=False)
    other = app.signature("anything.else")
    assert decode(as_celery_sends(2, [EVENT], {}, link=other, link_error=other, chain=[other])) == Message(
        TRACK_EVENT, EVENT
    )


def test_decode__reads_python_values_that_celery_sends() -> None:
    """A `datetime` in a bare Celery program's event arrives as the moment that it was."""
    sent = {**EVENT, "occurred_at": datetime(2026, 3, 10, 12, tzinfo=UTC)}
    assert event.decode(decode(as_celery_sends(2, [sent], {})).argument) == event.decode(EVENT)


def test_decode__reads_celery_node() -> None:
    """npm celery-node writes protocol 2 with four headers and the body in base64."""
    raw = json.dumps(
        {
            "body": b64(json.dumps([[EVENT], {}, {}]).encode()),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "js",
                "task": TRACK_EVENT,
                "id": "7b6a4b06-8b3f-4d3c-9c1d-1f3c5d7e9a0b",
                "root_id": "7b6a4b06-8b3f-4d3c-9c1d-1f3c5d7e9a0b",
            },
            "properties": {
                "body_encoding": "base64",
                "correlation_id": "7b6a4b06-8b3f-4d3c-9c1d-1f3c5d7e9a0b",
                "delivery_info": {"exchange": EVENTS, "priority": 0, "routing_key": EVENTS},
                "delivery_mode": 2,
                "delivery_tag": "0c6a4b06-8b3f-4d3c-9c1d-1f3c5d7e9a0b",
                "reply_to": "1d6a4b06-8b3f-4d3c-9c1d-1f3c5d7e9a0b",
            },
        }
    )
    assert decode(raw.encode()) == Message(TRACK_EVENT, EVENT)


@pytest.mark.parametrize("call", [{"args": [EVENT], "kwargs": None}, {"args": None, "kwargs": {"event": EVENT}}])
def test_decode__reads_gocelery(call: dict[str, object]) -> None:
    """gocelery writes protocol 1: no headers, the body an object in base64, null for what is not given."""
    body = {"id": "f1", "task": TRACK_EVENT, **call, "retries": 0, "eta": None, "expires": None}
    raw = json.dumps(
        {
            "body": b64(json.dumps(body).encode()),
            "headers": None,
            "content-type": "application/json",
            "properties": {
                "body_encoding": "base64",
                "correlation_id": "f2",
                "reply_to": "f3",
                "delivery_info": {"priority": 0, "routing_key": "celery", "exchange": "celery"},
                "delivery_mode": 2,
                "delivery_tag": "f4",
            },
            "content-encoding": "utf-8",
        }
    )
    assert decode(raw.encode()) == Message(TRACK_EVENT, EVENT)


PLAIN_BODY = json.dumps([[EVENT], {}, {}], ensure_ascii=False)


@pytest.mark.parametrize(
    ("body", "properties"),
    [
        (b64(PLAIN_BODY.encode()), {"body_encoding": "base64"}),
        (PLAIN_BODY, {"body_encoding": "utf-8"}),
        (PLAIN_BODY, {"body_encoding": "utf8"}),
        (PLAIN_BODY, {"body_encoding": None}),
        (PLAIN_BODY, {}),
        (PLAIN_BODY, None),
        (json.loads(PLAIN_BODY), {}),
        (json.loads(PLAIN_BODY), {"body_encoding": "base64"}),
    ],
)
def test_decode__reads_every_encoding_of_the_body(body: object, properties: object) -> None:
    """The body may be base64, plain text or the JSON itself, whatever the properties leave out."""
    assert decode(v2(body=body, properties=properties)) == Message(TRACK_EVENT, EVENT)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"content-type": "application/json", "content-encoding": "utf-8"},
        {"content-type": None},
        {"content-type": ""},
        {"headers": {"task": TRACK_EVENT}},
        {"headers": {"task": TRACK_EVENT, "compression": None}},
        {"something": "else"},
    ],
    ids=str,
)
def test_decode__does_without_the_optional_keys(changes: dict[str, object]) -> None:
    """What other languages leave out or set to null has the meaning that everybody gives it."""
    assert decode(v2(**changes)) == Message(TRACK_EVENT, EVENT)


@pytest.mark.parametrize("parts", [[[EVENT]], [[EVENT], {}], [[EVENT], None], [[EVENT], {}, {}, {}], [[EVENT], []]])
def test_decode__reads_a_short_or_long_body(parts: list[object]) -> None:
    """Missing and further parts of a protocol 2 body do not hide the arguments."""
    assert decode(v2(*parts)) == Message(TRACK_EVENT, EVENT)


@pytest.mark.parametrize("value", [EVENT, {}, [], [1], None, "x", 0, False, 1.5])
def test_decode__hands_on_whatever_the_only_argument_is(value: object) -> None:
    """Whether it is a valid event is another question than where it stands."""
    for raw in (v2([value], {}), v2([], {"event": value}), v2(None, {"event": value}), v1(args=[value])):
        assert decode(raw) == Message(TRACK_EVENT, value)


@pytest.mark.parametrize("name", ["zlib", "gzip", "bzip2", "bzip", "lzma", "xz"])
@pytest.mark.parametrize("call", [[[EVENT], {}, {}], {"task": TRACK_EVENT, "args": [EVENT], "kwargs": {}}])
def test_decode__unpacks_what_kombu_compresses(name: str, call: object) -> None:
    """Every compression of kombu's that Python brings along is read, in both protocols."""
    data, compression = compress(json.dumps(call).encode(), name)
    headers = {"compression": compression} | ({"task": TRACK_EVENT} if isinstance(call, list) else {})
    assert decode(v2(body=b64(data), headers=headers)) == Message(TRACK_EVENT, EVENT)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (str(IMPORT_ID), str(IMPORT_ID)),
        (str(IMPORT_ID).upper(), str(IMPORT_ID)),
        (None, None),
        ("", None),
        ("x", None),
        (5, None),
        (["x"], None),
        ({}, None),
    ],
)
def test_decode__takes_only_a_uuid_for_an_import(given: object, kept: str | None) -> None:
    """A foreign header of that name does not spoil the event."""
    assert decode(v2(headers={"task": TRACK_EVENT, "import_id": given})) == Message(TRACK_EVENT, EVENT, import_id=kept)


@pytest.mark.parametrize(
    ("given", "kept"), [(1773144000, 1773144000.0), (0.5, 0.5), (-1, -1.0), (None, None), ("5", None), ([5], None)]
)
def test_decode__takes_only_a_number_for_the_time_of_sending(given: object, kept: float | None) -> None:
    """A foreign header of that name does not spoil the event."""
    assert decode(v2(headers={"task": TRACK_EVENT, "sent_at": given})) == Message(TRACK_EVENT, EVENT, sent_at=kept)


# ---- poison ----


def depth(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


NOT_JSON = [
    b"",
    b" ",
    b"nonsense",
    b"{",
    b'{"body": "x"',
    b"{'body': 1}",
    b'{"body": NaN}',
    b'{"body": Infinity}',
    b'{"body": 1e999}',
    b'{"body": "\xff"}',
    b'{"body": "\xed\xa0\x80"}',
    b'{"body": "\\ud800"}',
    b'{"body": "a\nb"}',
    b"\xef\xbb\xbf{}",
    b"\0",
    b"\x80\x04\x95\x0b",
    b"{}{}",
    depth(100_000),
    b"[" * 100_000,
    b'{"body": ' + depth(100_000) + b"}",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    json.dumps(v2().decode()).encode()[:-1],
    v2().decode().encode("utf-16"),
]
NOT_A_MESSAGE = [
    b"null",
    b"true",
    b"0",
    b"-1.5",
    b'"x"',
    b"[]",
    b"{}",
    b"[[], {}]",
    depth(1_000),
    json.dumps(EVENT).encode(),
    json.dumps([v2().decode()]).encode(),
    json.dumps(v2().decode()).encode(),
    v2(headers="x"),
    v2(headers=["task"]),
    v2(headers=5),
    v2(properties="base64"),
    v2(properties=[1]),
    v2(properties=True),
    v2(headers={}),
    v2(headers=None),
    v2(headers={"id": "1"}),
    v2(body=[], headers=None),
    v2(body="5", properties={}, headers=None),
    v2(body='"x"', properties={}, headers=None),
    v2(body="null", properties={}, headers=None),
]
CONTENT_TYPE = [
    v2(**{"content-type": "application/x-python-serialize"}),
    v2(**{"content-type": "application/x-python-serialize"}, body=b64(b"\x80\x04N.")),
    v2(**{"content-type": "application/x-yaml"}),
    v2(**{"content-type": "application/x-msgpack"}),
    v2(**{"content-type": "text/plain"}),
    v2(**{"content-type": "application/JSON"}),
    v2(**{"content-type": "application/data"}, body=[[EVENT], {}]),
    v2(**{"content-type": 5}),
    v2(**{"content-type": ["application/json"]}),
    v2(**{"content-type": {"a": 1}}),
    b'{"body": "", "content-type": ' + depth(1_000) + b"}",
]
COMPRESSION = [
    packed(zlib.compress(b"[]"), "application/x-brotli"),
    packed(zlib.compress(b"[]")[:-1], "application/x-gzip"),
    packed(b"x", "application/x-gzip"),
    packed(zlib.compress(PLAIN_BODY.encode())[:-20], "application/x-gzip"),
    packed(bz2.compress(PLAIN_BODY.encode())[:-20], "application/x-bz2"),
    packed(lzma.compress(PLAIN_BODY.encode())[:-60], "application/x-lzma"),
    packed(b"", "application/x-gzip"),
    packed(zlib.compress(b"[]"), "application/zstd"),
    packed(zlib.compress(b"[]"), "zlib"),
    packed(zlib.compress(b"[]"), ""),
    packed(zlib.compress(b"[]"), 5),
    packed(zlib.compress(b"[]"), ["application/x-gzip"]),
    packed(zlib.compress(b"[]"), {"a": 1}),
    packed(zlib.compress(b"[]"), True),
    packed(b"not compressed", "application/x-gzip"),
    packed(b"not compressed", "application/x-bz2"),
    packed(b"not compressed", "application/x-lzma"),
    packed(bz2.compress(b"[]"), "application/x-gzip"),
    packed(zlib.compress(b"[]"), "application/x-lzma"),
]
BAD_BODY = [
    v2(body=5),
    v2(body=True),
    v2(body=1.5),
    json.dumps({"body": None, "headers": {"task": TRACK_EVENT}}).encode(),
    v2(body=""),
    v2(body="", properties={}),
    v2(body="!"),
    v2(body="YQ"),
    v2(body="YQ==="),
    v2(body=b64(PLAIN_BODY.encode())[:-3]),
    v2(body=b64(PLAIN_BODY.encode()) + "\n"),
    v2(body="é"),
    v2(body=PLAIN_BODY),
    v2(body=b64(PLAIN_BODY.encode()), properties={}),
    v2(body=b64(PLAIN_BODY.encode()), properties={"body_encoding": "utf-8"}),
    v2(body=b64(b"nonsense")),
    v2(body=b64(b"\xff\xfe")),
    v2(body=b64(PLAIN_BODY.encode("utf-16"))),
    v2(body=b64(PLAIN_BODY.encode("latin-1", "replace").replace(b"?", b"\xe9"))),
    v2(body=b64(b'[["\\ud800"], {}]')),
    v2(body=b64(b"[[NaN], {}]")),
    v2(body=b64(depth(100_000))),
    v2(body=b64(PLAIN_BODY.encode()), properties={"body_encoding": "base32"}),
    v2(body=b64(PLAIN_BODY.encode()), properties={"body_encoding": "BASE64"}),
    v2(body=b64(PLAIN_BODY.encode()), properties={"body_encoding": 64}),
    v2(body=b64(PLAIN_BODY.encode()), properties={"body_encoding": ["base64"]}),
    packed(zlib.compress(b"nonsense"), "application/x-gzip"),
]
UNKNOWN_TASK = [
    v2(headers={"task": "participation.track_events"}),
    v2(headers={"task": "celery.ping"}),
    v2(headers={"task": TRACK_EVENT.upper()}),
    v2(headers={"task": f"{TRACK_EVENT}\n"}),
    v2(headers={"task": ""}),
    v2(headers={"task": None}),
    v2(headers={"task": 5}),
    v2(headers={"task": [TRACK_EVENT]}),
    v2(headers={"task": "x" * 1_000_000}),
    b'{"body": [[], {}], "headers": {"task": ' + depth(1_000) + b"}}",
    b'{"body": {"task": ' + depth(1_000) + b"}}",
    v1(task="other"),
    v1(task=None),
    v2(body={"args": [EVENT]}, headers=None),
    v2(body={}, headers=None),
]
ARGUMENTS = [
    v2([], {}),
    v2(None, None),
    v2([EVENT, EVENT], {}),
    v2([EVENT], {"event": EVENT}),
    v2([EVENT], {"more": 1}),
    v2([], {"event": EVENT, "more": 1}),
    v2([], {"events": EVENT}),
    v2(EVENT, {}),
    v2("x", {}),
    v2(5, {}),
    v2([EVENT], [1]),
    v2([EVENT], "x"),
    v2([], [["event", EVENT]]),
    v2(body=b64(b"[]")),
    v2(body=b64(b"{}")),
    v2(body=b64(b"null")),
    v2(body=b64(b"5")),
    v2(body=b64(b'"x"')),
    v2(body={"task": TRACK_EVENT, "args": [EVENT]}),
    v1(args=[]),
    v1(args=[EVENT, 1]),
    v1(kwargs={"event": EVENT}),
    v1(args=EVENT),
]
POISON = {
    "not_json": NOT_JSON,
    "not_a_message": NOT_A_MESSAGE,
    "content_type": CONTENT_TYPE,
    "compression": COMPRESSION,
    "bad_body": BAD_BODY,
    "unknown_task": UNKNOWN_TASK,
    "arguments": ARGUMENTS,
}


PARTS = {
    "not_json": {"message"},
    "not_a_message": {"message"},
    "content_type": {"content-type"},
    "compression": {"compression", "body"},
    "bad_body": {"body", "body_encoding"},
    "unknown_task": {"task"},
    "arguments": {"arguments", "body"},
}
"""The part of a message that an error of this code names."""


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        pytest.param(code, raw, id=f"{code}-{number}")
        for code, elements in POISON.items()
        for number, raw in enumerate(elements)
    ],
)
def test_decode__refuses_poison_with_its_code(code: str, raw: bytes) -> None:
    """Every kind of poison is an `InvalidEvent` whose code tells the operator which, in a line short enough to read."""
    error = refusal(raw)
    assert error.code == code
    assert error.field in PARTS[code]
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"nonsense", "message: must be JSON"),
        (b"[]", "message: must be a Celery message: a JSON object with a body"),
        (v2(headers="x"), "message: headers and properties must be JSON objects"),
        (v2(headers={}), "message: must name its task, in its headers or its body"),
        (
            v2(**{"content-type": "application/x-python-serialize"}),
            "content-type: must be application/json, not 'application/x-python-serialize'",
        ),
        (
            packed(b"", "application/zstd"),
            "compression: must be one of application/x-gzip, application/x-bz2, application/x-lzma",
        ),
        (v2(body=""), "body: must be JSON"),
        (packed(b"x" * 99, "application/x-bz2"), "body: must be in the format of its compression"),
        (v2(body=5), "body: must be a string, an array or an object"),
        (v2(body="!"), "body: must be base64"),
        (v2(properties={"body_encoding": "base32"}), "body_encoding: must be base64, utf-8 or absent"),
        (
            v2(headers={"task": "celery.ping"}),
            "task: must be one of participation.track_event, participation.note_names, "
            "participation.note_presence, not 'celery.ping'",
        ),
        (v2(body=b64(b"{}")), "body: must be an array of arguments and keyword arguments"),
        (v2([], {}), "arguments: must be exactly one, named event"),
    ],
)
def test_decode__says_what_is_wrong_and_where(raw: bytes, said: str) -> None:
    """The error names the part and its rule, and what it found where that says whose message it is."""
    assert str(refusal(raw)).partition(" (")[0] == said


@pytest.mark.parametrize(("name", "pack"), PACKERS.items())
def test_decode__stops_unpacking_a_bomb(name: str, pack: Callable[[bytes], bytes]) -> None:
    """A few kilobytes that unpack to 64 MB are refused at the first megabyte, without the memory for the rest."""
    raw = packed(pack(b"[" + b" " * 64_000_000), name)
    tracemalloc.start()
    error = refusal(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (error.code, str(error)) == ("compression", "body: must unpack to at most 1,048,576 bytes")
    assert peak < 32_000_000


@pytest.mark.parametrize(("name", "pack"), PACKERS.items())
def test_decode__unpacks_a_megabyte_and_no_more(name: str, pack: Callable[[bytes], bytes]) -> None:
    """The limit is exact: one byte further is refused."""
    body = PLAIN_BODY.encode()
    fits = body + b" " * (1_048_576 - len(body))
    assert decode(packed(pack(fits), name)) == Message(TRACK_EVENT, EVENT)
    assert refusal(packed(pack(fits + b" "), name)).code == "compression"


def test_decode__refuses_a_body_that_asks_for_gigabytes_to_be_unpacked() -> None:
    """LZMA takes the memory that the message's own header asks for: a limit is set."""
    asks = bytearray(lzma.compress(PLAIN_BODY.encode(), lzma.FORMAT_ALONE, preset=0))
    asks[1:5] = (1 << 30).to_bytes(4, "little")
    assert refusal(packed(bytes(asks), "application/x-lzma")).code == "compression"


def test_decode__unpacks_lzmas_strongest_preset() -> None:
    """The limit is above what an honest client can ask for."""
    data = lzma.compress(PLAIN_BODY.encode(), preset=9 | lzma.PRESET_EXTREME)
    assert decode(packed(data, "application/x-lzma")) == Message(TRACK_EVENT, EVENT)


# ---- anything at all ----

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A loaded machine is no failure."""

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
FLAT = ATOMS | st.lists(ATOMS, max_size=4) | st.dictionaries(st.text(max_size=5), ATOMS, max_size=4)
JSON = FLAT | st.lists(FLAT, max_size=4) | st.dictionaries(st.text(max_size=5), FLAT, max_size=4)
BODIES = st.one_of(
    JSON,
    JSON.map(lambda value: b64(json.dumps(value).encode())),
    st.binary().map(b64),
    st.tuples(st.lists(JSON, max_size=2), st.dictionaries(st.just("event"), JSON)).map(list),
    st.fixed_dictionaries({"task": st.just(TRACK_EVENT) | JSON}, optional={"args": JSON, "kwargs": JSON}),
)
ENVELOPES = st.fixed_dictionaries(
    {"body": BODIES},
    optional={
        "headers": JSON
        | st.fixed_dictionaries(
            {"task": st.just(TRACK_EVENT) | JSON},
            optional={
                "compression": st.sampled_from(["application/x-gzip", "application/x-bz2", "application/x-lzma"])
                | JSON,
                "import_id": JSON,
                "sent_at": JSON,
            },
        ),
        "properties": JSON | st.fixed_dictionaries({"body_encoding": st.sampled_from(["base64", "utf-8"]) | JSON}),
        "content-type": st.just("application/json") | JSON,
    },
)


def _message_or_none(raw: bytes) -> Message | None:
    try:
        return decode(raw)
    except InvalidEvent as error:
        return None if error.code in POISON else pytest.fail(f"unknown code {error.code}")


@PATIENT
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_decode__refuses_any_bytes_that_are_no_message(raw: bytes) -> None:
    """Whatever bytes lie in the list, nothing but `InvalidEvent` comes out."""
    assert _message_or_none(raw) is None


@PATIENT
@given(JSON)
def test_decode__refuses_any_json_that_is_no_message(value: object) -> None:
    """Whatever JSON lies in the list, nothing but `InvalidEvent` comes out."""
    assert _message_or_none(json.dumps(value).encode()) is None


@PATIENT
@given(ENVELOPES)
def test_decode__answers_anything_that_looks_like_a_message(envelope: dict[str, Any]) -> None:
    """Whatever stands in a message's places, it is read or refused with a known code."""
    got = _message_or_none(json.dumps(envelope).encode())
    assert got is None or isinstance(got, Message)


@PATIENT
@given(JSON)
def test_decode__keeps_any_argument(value: object) -> None:
    """Any JSON value that a client passes arrives as it was."""
    assert decode(encode(value)).argument == value


# ---- the batch ----


def test_read__sorts_poison_from_events_and_loses_nothing() -> None:
    """One poisoned element holds up no other: each is accepted or dead, with its code and its own bytes."""
    elements = [raw for group in POISON.values() for raw in group]
    good = [v2(), v1(), encode(EVENT)]
    bad_event = v2([{**EVENT, "member_id": 5}], {})
    accepted, _, dead = decode_batch([*elements[:40], good[0], *elements[40:], bad_event, *good[1:]])
    assert [item.raw for item in accepted] == good
    assert [letter.reason for letter in dead] == [
        *(code for code, group in POISON.items() for _ in group),
        "invalid_event",
    ]
    assert [letter.raw for letter in dead] == [raw[:65_536] for raw in [*elements, bad_event]]


@pytest.mark.parametrize("levels", [500, 900, 980, 990, 1_000, 1_010, 1_020, 1_030])
@pytest.mark.parametrize("field", ["member_id", "event_type", "occurred_at", "metadata", "event_id", "colour"])
def test_read__survives_an_event_that_is_as_deep_as_json_may_be(levels: int, field: str) -> None:
    """Depth that the JSON parser lets through and Python's stack does not carry is a dead letter like any other."""
    inner = json.dumps({**EVENT, field: "DEEP"}).encode().replace(b'"DEEP"', depth(levels))
    for raw in (
        b'{"body":[[%s],{}],"headers":{"task":"participation.track_event"}}' % inner,
        v2(body=b64(b"[[%s]]" % inner)),
    ):
        accepted, _, dead = decode_batch([raw])
        assert (accepted, len(dead)) == ([], 1)
        assert dead[0].reason in {"invalid_event", "not_json", "bad_body"}
