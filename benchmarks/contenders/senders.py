"""The ways to send an event, each in a process of its own: `python -m benchmarks.contenders.senders WAY COUNT`.

Prints one line: the seconds that the calls took, and the CPU seconds of this process. They do not include the creation
of the events, and the first calls, in which the sender connects and warms up.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from celery import Celery
from redis import Redis

from benchmarks import events
from participation import keys, message

WARM: Final = 500
"""Calls, or events of one call, before the measured ones."""

Send = Callable[[Sequence[events.Event]], object]


def delay() -> Send:
    """Return a function that calls `track_event.delay`, as bots do."""
    from participation import track_event

    def send(sent: Sequence[events.Event]) -> None:
        for one in sent:
            track_event.delay(one)

    return send


def stock() -> Send:
    """Return a function that calls the `delay` of a stock Celery task."""
    app = Celery("stock", broker=os.environ["REDIS_URL"])
    app.conf.task_ignore_result = True

    @app.task(name="stock.single")
    def single(event: dict[str, Any]) -> None: ...

    def send(sent: Sequence[events.Event]) -> None:
        for one in sent:
            single.delay(one)

    return send


def lpush() -> Send:
    """Return a function that sends the bytes of our messages, encoded in advance, each in one round trip."""
    redis = Redis.from_url(os.environ["REDIS_URL"])
    prepared: dict[int, bytes] = {}

    def send(sent: Sequence[events.Event]) -> None:
        for one in sent:
            redis.lpush(keys.EVENTS, prepared[id(one)])

    def prepare(sent: Sequence[events.Event]) -> None:
        prepared.update((id(one), message.encode(one)) for one in sent)

    send.prepare = prepare  # type: ignore[attr-defined]
    return send


def many() -> Send:
    """Return a function that calls `track_events`. It does not wait for a short queue, because no worker runs."""
    from participation import track_events

    return partial(track_events, queue_limit=None)


WAYS: Final[dict[str, Callable[[], Send]]] = {"delay": delay, "stock": stock, "lpush": lpush, "many": many}


def main() -> None:
    way, count = sys.argv[1], int(sys.argv[2])
    sent = events.events(WARM + count)
    send = WAYS[way]()
    getattr(send, "prepare", lambda _: None)(sent)
    send(sent[:WARM])
    begun, begun_cpu = time.perf_counter(), time.process_time()
    send(sent[WARM:])
    print(time.perf_counter() - begun, time.process_time() - begun_cpu)


if __name__ == "__main__":
    main()
