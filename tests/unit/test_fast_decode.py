"""The plain case: what our clients send is read in one go, and nothing is read otherwise than by a full look."""

import base64
import json
import string
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
import pytest
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from participation import event, message
from participation.errors import InvalidEvent
from participation.event import ActorKind, EventType
from participation.ingest import fast_decode
from participation.ingest.decode import event_row
from participation.keys import TRACK_EVENT
from participation.limits import EARLIEST, METADATA_BYTES
from participation.store.ingest.events import Row
from tests.rows import event as valid_event

IMPORT_ID = UUID("0192f0c1-2d3e-7a4b-8c5d-6e7f80912a3b")

plain_text = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters='"\\'), min_size=1)
identifiers = plain_text.map(lambda text: text[:255])
events = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(list(map(str, EventType))),
        "platform": st.text(string.ascii_lowercase + string.digits + "_-", min_size=1, max_size=32),
        "community_id": identifiers,
        "member_id": identifiers,
        "occurred_at": st.datetimes(
            min_value=EARLIEST.replace(tzinfo=None), max_value=EARLIEST.replace(year=2025, tzinfo=None)
        ).map(lambda moment: moment.isoformat() + "Z"),
    },
    optional={
        "channel_id": identifiers | st.none(),
        "object_id": identifiers | st.none(),
        "object_author_id": identifiers | st.none(),
        "actor_kind": st.sampled_from(list(map(str, ActorKind))),
        "metadata": st.dictionaries(
            plain_text, plain_text | st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1), max_size=5
        ),
    },
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A loaded machine is no failure."""

PIECES = [b"", b'"', b"\\", b"}", b"[", b",", b"0", b"e9", b"null", b"\xff", b"\0", b"\t", b"\n", b"\r", b"\x1f", b" "]
"""What damage puts in."""


def looked_at(raw: bytes) -> Row | None:
    """Return what a full look makes of the list element, None if it is a dead letter."""
    try:
        envelope = message.decode(raw)
        return event_row(event.decode(envelope.argument), envelope.import_id)
    except InvalidEvent:
        return None


def stock(body: bytes, **headers: object) -> bytes:
    """Return a message with this body."""
    envelope = {
        "body": base64.b64encode(body).decode(),
        "headers": {"task": TRACK_EVENT, "id": "1", **headers},
        "properties": {"body_encoding": "base64"},
    }
    return json.dumps(envelope).encode()


@PATIENT
@given(events, st.sampled_from([None, IMPORT_ID]))
def test_row__what_our_clients_send_is_plain_and_read_rightly(value: Mapping[str, Any], import_id: UUID | None) -> None:
    raw = message.encode(event.encode(event.decode(value)), import_id)
    found = fast_decode.decode_row(raw)
    assert found is not None
    assert found == looked_at(raw)


def test_row__what_stock_celery_sends_is_plain() -> None:
    """The message of a client that has nothing of ours, as kombu writes it into a list."""
    app = Celery(broker="memory://", set_as_current=False)
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        connection.SimpleQueue("stock").close()
        app.send_task(TRACK_EVENT, (valid_event(metadata={"emoji": "x"}),), queue="stock", connection=connection)
        raw = json.dumps(channel._get("stock")).encode()
    found = fast_decode.decode_row(raw)
    assert found is not None
    assert found == looked_at(raw)


@settings(PATIENT, max_examples=300)
@given(events, st.sampled_from([*event.Event.model_fields, "surprise"]), values)
def test_row__any_value_of_a_field_is_read_as_by_a_full_look(
    value: Mapping[str, Any], field: str, other: object
) -> None:
    raw = stock(json.dumps([[{**value, field: other}], {}, {}], ensure_ascii=False).encode("utf-8", "surrogatepass"))
    assert fast_decode.decode_row(raw) in {None, looked_at(raw)}


@settings(PATIENT, max_examples=300)
@given(events, st.data())
def test_row__any_damage_is_read_as_by_a_full_look(value: Mapping[str, Any], data: st.DataObject) -> None:
    """Bytes changed, cut out or put in, in the envelope or in the body."""
    body = orjson.dumps([[value], {}, {}])
    raw = stock(_damaged(body, data)) if data.draw(st.booleans()) else _damaged(message.encode(value), data)
    assert fast_decode.decode_row(raw) in {None, looked_at(raw)}


def _damaged(raw: bytes, data: st.DataObject) -> bytes:
    for _ in range(data.draw(st.integers(1, 3))):
        at = int(data.draw(st.floats(0, 1)) * len(raw))
        piece = data.draw(st.sampled_from(PIECES))
        raw = raw[:at] + piece + raw[at + data.draw(st.integers(0, 3)) :]
    return raw


@pytest.mark.parametrize(
    "value",
    [
        valid_event(metadata={"n": 2**64}),
        valid_event(metadata={"text": "x" * METADATA_BYTES}),
        valid_event(metadata={"list": []}),
        valid_event(metadata={"quoted": '"'}),
        valid_event(community_id="a\\b"),
        valid_event(event_id="5f6e3c1c-2b0a-5d0f-9a55-6d2f6a2f7c11"),
        valid_event(occurred_at="1999-12-31T23:59:59Z"),
        valid_event(occurred_at="2999-12-31T23:59:59Z"),
        valid_event(platform="Discord"),
    ],
    ids=str,
)
def test_row__leaves_what_is_out_of_the_ordinary_to_a_full_look(value: Mapping[str, Any]) -> None:
    assert fast_decode.decode_row(stock(json.dumps([[value], {}, {}]).encode())) is None


def test_row__bytes_that_are_no_text_are_left_to_a_full_look() -> None:
    """Also where nobody reads them: the message as a whole is not JSON."""
    raw = stock(orjson.dumps([[valid_event()], {}, {}]), origin="bot@x")
    assert fast_decode.decode_row(raw) is not None
    assert fast_decode.decode_row(raw.replace(b"bot@x", b"bot@\xff")) is None


def test_row__header_that_is_too_long_to_be_an_imports_id_is_left_to_a_full_look() -> None:
    """What was read is remembered, and must not be what somebody sends to fill the memory."""
    body = orjson.dumps([[valid_event()], {}, {}])
    assert fast_decode.decode_row(stock(body, import_id=IMPORT_ID.urn)) is not None
    assert fast_decode.decode_row(stock(body, import_id="x" * 46)) is None


def test_row__message_that_is_compressed_is_left_to_a_full_look() -> None:
    assert (
        fast_decode.decode_row(stock(orjson.dumps([[valid_event()], {}, {}]), compression="application/x-gzip")) is None
    )


def test_row__task_of_another_name_is_left_to_a_full_look() -> None:
    assert fast_decode.decode_row(stock(orjson.dumps([[valid_event()], {}, {}]), task="participation.other")) is None
