"""Latency: the time from when an event was due to be sent until another connection sees its row.

Open loop: the due times are fixed in advance and do not wait for answers. If an event is sent late, its latency still
begins at its due time. Each event has its due time in `metadata`. A watcher asks for new rows of `ingest_batches` every
2 ms and stores when it first saw each. An event belongs to the batch whose transaction has the same commit time. So the
latency ends when the row is visible, not when it is written.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from statistics import quantiles
from threading import Event, Thread
from typing import Final

import psycopg2

from benchmarks.report import Part, Ratio, Series, progress
from benchmarks.servers import Bench
from benchmarks.sizes import Sizes
from participation import keys

STEADY: Final = "discord:steady"
BURST: Final = "discord:burst"
POLL_SECONDS: Final = 0.002
AHEAD_SECONDS: Final = 2.0
"""Time between the start of the senders and their first event."""

_NEW: Final = "SELECT batch_id, pg_xact_commit_timestamp(xmin) FROM ingest_batches WHERE stored_at > %s"
_DUE: Final = """
SELECT CAST(metadata ->> 'due' AS float8), pg_xact_commit_timestamp(xmin)
FROM participation_events WHERE community_id = %s
"""


def measure(bench: Bench, sizes: Sizes) -> Part:
    """Measure a steady stream, then the same stream with a burst in the middle, at most three rounds of each."""
    rounds = min(sizes.rounds, 3)
    steady, during, burst = [], [], []
    with bench.ours():
        _run(bench, 1, sizes.latency_rate, 0)
        for number in range(1, rounds + 1):
            progress("latency", number, rounds, "steady, then with a burst")
            steady.append(_run(bench, sizes.latency_seconds, sizes.latency_rate, 0)[STEADY])
            seen = _run(bench, min(sizes.latency_seconds, 20), sizes.latency_rate, sizes.latency_burst)
            during.append(seen[STEADY])
            burst.append(seen[BURST])
    rate, size = f"{sizes.latency_rate:,} events/s", f"burst of {sizes.latency_burst:,}"
    series = [*_series(rate, steady), *_series(f"{rate} around a {size}", during), *_series(f"the {size}", burst)]
    ratios = [
        Ratio(f"p50 at {rate}", series[0].median, 100, "at most", "ms"),
        Ratio(f"p99 at {rate}", series[1].median, 250, "at most", "ms"),
    ]
    notes = [
        f"Open loop, {sizes.latency_seconds} s in each round. Every event that was sent was seen.",
        "Each latency begins when the event was due, even if it was sent later.",
        "`track_event.delay` sends the stream on four threads. Another process sends the burst with `track_events`.",
    ]
    return Part("latency", "Latency: accepted to visible", series, ratios, notes)


def _series(name: str, rounds: Sequence[list[float]]) -> list[Series]:
    cuts = [quantiles(seconds, n=100) for seconds in rounds]
    return [
        Series(f"{name}: p50", "ms", [1000 * cut[49] for cut in cuts]),
        Series(f"{name}: p99", "ms", [1000 * cut[98] for cut in cuts]),
        Series(f"{name}: max", "ms", [1000 * max(seconds) for seconds in rounds]),
    ]


def _run(bench: Bench, seconds: int, rate: int, burst: int) -> dict[str, list[float]]:
    """Send for this many seconds; return the latencies in seconds, by community."""
    bench.sql("TRUNCATE participation_events, ingest_batches")
    begin = time.time() + AHEAD_SECONDS
    senders = [_sender(bench, STEADY, begin, rate * seconds, rate, 4)]
    if burst:
        senders.append(_sender(bench, BURST, begin + seconds / 2, burst, 0, 1))
    with _Watcher(bench.url) as watcher:
        for sender in senders:
            if sender.wait(seconds + 120):
                raise RuntimeError(f"a sender ended with {sender.returncode}")
        expected = {STEADY: rate * seconds} | ({BURST: burst} if burst else {})
        bench.await_(lambda: _left(bench) == 0)
        bench.await_(lambda: watcher.events() == sum(expected.values()))
    found = {community: watcher.latencies(bench.sql(_DUE, community)) for community in expected}
    if {community: len(seen) for community, seen in found.items()} != expected:
        raise AssertionError("not every event that was sent is stored")
    return found


def _left(bench: Bench) -> int:
    redis = bench.redis
    return redis.llen(keys.EVENTS) + redis.zcard(keys.BATCHES)


def _sender(bench: Bench, *arguments: object) -> subprocess.Popen[bytes]:
    """Start `contenders/load.py` with its arguments: community, begin, count, rate, threads."""
    command = [sys.executable, "-m", "benchmarks.contenders.load", *map(str, arguments)]
    return subprocess.Popen(command, env=bench.environment(), cwd=bench.folder)


class _Watcher:
    """Stores when each transaction of a flush was first visible to another connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen: dict[object, float] = {}
        self._batches: set[str] = set()
        self._ended = Event()
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> "_Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def events(self) -> int:
        """Return how many events were stored by the batches that were seen so far."""
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(sum(stored), 0) FROM ingest_batches WHERE batch_id = ANY(%s)", [list(self._batches)]
            )
            return int(cursor.fetchall()[0][0])

    def latencies(self, rows: Sequence[tuple[float, object]]) -> list[float]:
        return [self._seen[committed_at] - due for due, committed_at in rows]

    def _watch(self) -> None:
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("SELECT clock_timestamp()")
            ((since,),) = cursor.fetchall()
            while not self._ended.wait(POLL_SECONDS):
                # A batch that ended earlier may become visible later, so include the last second.
                cursor.execute("SELECT clock_timestamp() - interval '1 second'")
                ((following,),) = cursor.fetchall()
                cursor.execute(_NEW, [since])
                rows, now = cursor.fetchall(), time.time()
                for batch_id, committed_at in rows:
                    if batch_id not in self._batches:
                        self._batches.add(batch_id)
                        self._seen.setdefault(committed_at, now)
                since = max(since, following)
