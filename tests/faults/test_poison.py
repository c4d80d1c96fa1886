"""Ten thousand good events and a thousand poisoned ones of every kind, in the same batches."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

from participation import keys, message
from tests.faults.poison import KINDS, poison
from tests.faults.report import Report
from tests.faults.rig import Rig

GOOD = 10_000
POISONED = 1_000

LARGE = "4 MB of metadata"
MOST_LARGE = 4
"""Some of the largest are enough: each is 5 MB."""

CHUNK = 100


def test_poison__good_neighbours_are_stored_and_no_worker_restarts(rig: Rig, holds: Callable[[str], Report]) -> None:
    """Each kind of poison becomes dead letters with its reason; all good events are stored by the same processes."""
    elements = [*good(rig), *poisoned(rig)]
    rig.random.shuffle(elements)
    with rig.redis() as redis:
        for begin in range(0, len(elements), CHUNK):
            redis.lpush(keys.EVENTS, *elements[begin : begin + CHUNK])
    worker = rig.worker()
    before = rig.children(worker)
    report = holds("poison: 10,000 good events, 1,000 poisoned of every kind")
    assert (report.stored, report.dead) == (GOOD, POISONED)
    assert worker.poll() is None
    assert rig.children(worker) == before
    assert not rig.said("Traceback")
    reasons = {reason for (reason,) in rig.sql("SELECT DISTINCT reason FROM dead_letters")}
    assert reasons == {reason for reason, _ in KINDS.values()}
    assert rig.sql("SELECT min(dead) > 0 FROM ingest_batches WHERE received >= 100") == [(True,)]


def good(rig: Rig) -> Iterator[bytes]:
    for number in range(GOOD):
        event: dict[str, Any] = {
            "event_type": "MESSAGE_SENT",
            "platform": "irc",
            "community_id": "harbour",
            "member_id": f"member-{number % 50}",
            "object_id": str(number),
            "occurred_at": f"2026-03-{1 + number % 28:02}T12:00:00Z",
        }
        rig.note({"event": event})
        yield message.encode(event)


def poisoned(rig: Rig) -> Iterator[bytes]:
    kinds = [LARGE] * MOST_LARGE + [kind for kind in KINDS if kind != LARGE] * (POISONED // len(KINDS) + 2)
    for number, kind in enumerate(kinds[:POISONED]):
        raw, reason = poison(kind, number)
        rig.note({"raw": base64.b64encode(raw).decode(), "reason": reason})
        yield raw
