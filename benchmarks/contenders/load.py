"""Sends events at fixed times: `… COMMUNITY BEGIN COUNT RATE THREADS`. With RATE 0, it sends all at once.

An event that cannot be sent in time is sent late, but still contains the time at which it was due.
"""

import sys
import time
from datetime import UTC, datetime
from threading import Thread
from typing import Any

from benchmarks.contenders import senders
from participation import track_event


def events(community: str, begin: float, count: int, rate: int) -> list[dict[str, Any]]:
    """Return the events, each with its due time."""
    return [_event(community, begin + (number / rate if rate else 0.0), number) for number in range(count)]


def _event(community: str, due: float, number: int) -> dict[str, Any]:
    return {
        "event_type": "MESSAGE_SENT",
        "platform": "discord",
        "community_id": community,
        "member_id": str(310000000000000000 + number % 5000),
        "channel_id": "720000000000000001",
        "object_id": f"{due:.6f}-{number}",
        "occurred_at": datetime.fromtimestamp(due, UTC).isoformat(),
        "metadata": {"due": due},
    }


def _send(due_events: list[dict[str, Any]]) -> None:
    for event in due_events:
        time.sleep(max(0.0, event["metadata"]["due"] - time.time()))
        track_event.delay(event)


def main() -> None:
    community, begin, count, rate, threads = sys.argv[1], float(sys.argv[2]), *map(int, sys.argv[3:6])
    sent = events(community, begin, count, rate)
    if not rate:
        send = senders.many()
        time.sleep(max(0.0, begin - time.time()))
        send(sent)
        return
    running = [Thread(target=_send, args=(sent[number::threads],)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


if __name__ == "__main__":
    main()
