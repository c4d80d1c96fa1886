"""Enqueue: what it costs the sender that an event is accepted, one process, one event after the other."""

import subprocess
import sys
from typing import Final

from benchmarks.report import Part, Ratio, Series
from benchmarks.servers import Bench
from benchmarks.sizes import Sizes
from participation import keys

WAYS: Final = {
    "delay": "track_event.delay",
    "stock": "stock task's delay",
    "lpush": "raw LPUSH, a round trip each",
    "many": "many at once",
}
QUEUES: Final = {"stock": "celery"}


def measure(bench: Bench, sizes: Sizes) -> Part:
    """Measure all ways in turn, so many rounds."""
    series = {way: Series(name, "events/s") for way, name in WAYS.items()}
    for _ in range(sizes.rounds):
        for way, one in series.items():
            one.rounds.append(_send(bench, way, sizes.enqueue_many if way == "many" else sizes.enqueue))
    medians = {way: one.median for way, one in series.items()}
    ratios = [
        Ratio("delay against a stock delay", medians["delay"] / medians["stock"], 5, "at least"),
        Ratio("delay against a raw LPUSH", medians["delay"] / medians["lpush"], 0.5, "at least"),
        Ratio("many at once, one process", medians["many"], 25_000, "at least", "events/s"),
    ]
    notes = [
        "After every run the messages in Redis were counted. Valkey syncs every write to the disk before it answers.",
        f"Calls: {sizes.enqueue:,} of each, {sizes.enqueue_many:,} for many at once.",
    ]
    return Part("enqueue", "Enqueue: events a second that one process sends", list(series.values()), ratios, notes)


def _send(bench: Bench, way: str, count: int) -> float:
    redis = bench.redis
    bench.flush()
    command = [sys.executable, "-m", "benchmarks.contenders.senders", way, str(count)]
    done = subprocess.run(
        command, env=bench.environment(), cwd=bench.folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    there = redis.llen(QUEUES.get(way, keys.EVENTS))
    if there != count + 1:
        raise AssertionError(f"{way}: {there:,} messages of {count + 1:,} are there")
    bench.flush()
    return count / float(done.stdout)
