"""The events for all contenders: the same events in the same order, on one day of 2026."""

import csv
import io
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import orjson

from benchmarks.contenders.rows import row
from participation import message

DAY: Final = datetime(2026, 3, 31, tzinfo=UTC)
COMMUNITIES: Final = 10
MEMBERS: Final = 50_000
TYPES: Final = ["MESSAGE_SENT"] * 14 + ["REACTION_ADDED"] * 3 + ["REACTION_REMOVED", "VOICE_JOINED", "VOICE_LEFT"]

Event = dict[str, Any]


def events(count: int, seed: int = 1) -> list[Event]:
    """Return this many events of one day in the order of their times, of many communities, members and types."""
    random = Random(seed)
    step = timedelta(days=1) / count
    return [_event(random, DAY + number * step, number) for number in range(count)]


def _event(random: Random, occurred_at: datetime, number: int) -> Event:
    kind = random.choice(TYPES)
    member = random.randrange(MEMBERS)
    event: Event = {
        "event_type": kind,
        "platform": "discord",
        "community_id": f"discord:{910000000000000000 + member % COMMUNITIES}",
        "member_id": str(310000000000000000 + member),
        "channel_id": str(720000000000000000 + random.randrange(40)),
        "occurred_at": occurred_at.isoformat(),
    }
    if not kind.startswith("VOICE"):
        event["object_id"] = str(1190000000000000000 + number)
    if kind.startswith("REACTION"):
        event["object_author_id"] = str(310000000000000000 + random.randrange(MEMBERS))
        event["metadata"] = {"emoji": random.choice("👍🎉❤😂")}
    return event


def ours(sent: Sequence[Event]) -> Iterator[bytes]:
    """Yield the messages that `track_event.delay` sends."""
    return (message.encode(event) for event in sent)


def stock(task: str, sent: Sequence[Event]) -> Iterator[bytes]:
    """Yield the messages that the `delay` of a stock task sends."""
    return (_as_celery_writes(task, event, str(uuid4())) for event in sent)


def _as_celery_writes(task: str, event: Event, task_id: str) -> bytes:
    embed: Event = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers: Event = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": repr((event,)),
        "kwargsrepr": "{}",
        "origin": "gen1@bench",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties = {
        "correlation_id": task_id,
        "reply_to": str(UUID(int=0)),
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    return orjson.dumps(
        {
            "body": b64encode(orjson.dumps([[event], {}, embed])).decode("ascii"),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
    )


def as_json(sent: Sequence[Event]) -> Iterator[bytes]:
    """Yield the events as JSON without a message."""
    return map(orjson.dumps, sent)


def as_csv(sent: Sequence[Event]) -> str:
    """Return the events in PostgreSQL's CSV format."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(map(row, sent))
    return buffer.getvalue()
