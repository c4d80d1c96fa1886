"""Log lines: an event name with fields, under the name of the module that logs."""

import logging
from pathlib import Path

import pytest

from participation import log


def test_event__is_a_name_with_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Words, numbers and paths stand as they are, durations have three digits, and texts are quoted."""
    with caplog.at_level(logging.INFO):
        log.event("batch_stored", batch_id="4f1c", stored=5_000, duration_seconds=0.0741, folder=Path("/a/b"))
        log.event("failed", level=logging.ERROR, advice="start it again", detail=ValueError("no such\nthing"))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "batch_stored batch_id=4f1c stored=5000 duration_seconds=0.074 folder=/a/b"),
        ("ERROR", "failed detail='no such\\nthing': start it again"),
    ]
    assert {record.name for record in caplog.records} == {__name__}
    assert {record.funcName for record in caplog.records} == {"test_event__is_a_name_with_fields"}


def test_event__carries_its_fields_for_other_handlers(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that writes structured output needs no parser."""
    with caplog.at_level(logging.INFO):
        log.event("batch_stored", stored=5_000)
    (record,) = caplog.records
    assert record.__dict__["event"] == "batch_stored"
    assert record.__dict__["fields"] == {"stored": 5_000}


def test_throttle__logs_the_same_event_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """Another event, and another throttle, are not held back."""
    slow, fast = log.Throttle(3_600), log.Throttle(0)
    for number in range(3):
        slow.warn("first", number=number)
        slow.warn("second", number=number)
        fast.warn("third", number=number)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["first number=0", "second number=0", "third number=0", "third number=1", "third number=2"]
    assert {(record.name, record.levelname) for record in caplog.records} == {(__name__, "WARNING")}
