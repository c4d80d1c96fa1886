"""Enqueue: the time until an event is accepted, for one process that sends one event after the other."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Final

from benchmarks.contenders.senders import WARM
from benchmarks.report import Part, Ratio, Series, progress
from benchmarks.servers import Bench
from benchmarks.sizes import Sizes
from participation import keys

WAYS: Final = {
    "delay": "track_event.delay",
    "stock": "stock task's delay",
    "lpush": "raw LPUSH, a round trip each",
    "many": "track_events",
}
SYNCS: Final = ("always", "everysec")
"""How Redis writes its append-only file. always: the setting of `participation up`, with which each event waits for the
disk. everysec: the default of Redis, with which the sender's own time is visible."""

QUEUES: Final = {"stock": "celery"}


def measure(bench: Bench, sizes: Sizes) -> Part:
    """Measure all ways in turn, for the configured number of rounds, with each setting of the append-only file."""
    series = {(way, sync): Series(f"{name}, {sync}", "events/s") for sync in SYNCS for way, name in WAYS.items()}
    cpu: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(1, sizes.rounds + 1):
        for sync in SYNCS:
            progress("enqueue", number, sizes.rounds, f"appendfsync {sync}")
            with _syncing(bench, sync):
                for way in WAYS:
                    count = sizes.enqueue_many if way == "many" else sizes.enqueue
                    seconds, cpu_seconds = _send(bench, way, count)
                    series[way, sync].rounds.append(count / seconds)
                    cpu[way].append(1e6 * cpu_seconds / count)
    medians = {key: one.median for key, one in series.items()}
    stock, lpush = (
        {sync: medians["delay", sync] / medians[other, sync] for sync in SYNCS} for other in ("stock", "lpush")
    )
    ratios = [
        Ratio("delay against a stock delay, everysec", stock["everysec"], 5, "at least"),
        Ratio("delay against a raw LPUSH, everysec", lpush["everysec"], 0.5, "at least"),
        Ratio("track_events, one process, always", medians["many", "always"], 25_000, "at least", "events/s"),
    ]
    notes = [
        "After every run, the messages in Redis were counted. always and everysec are values of appendfsync: Valkey "
        "syncs every write to the disk before it answers, as with `participation up`, or it syncs once a second.",
        f"With always, the disk limits all ways: delay is {stock['always']:.2g} × a stock delay and "
        f"{lpush['always']:.2g} × a raw LPUSH.",
        "CPU time of the caller, in microseconds for each event, median of all rounds: "
        + ", ".join(f"{name} {median(cpu[way]):.0f}" for way, name in WAYS.items())
        + ".",
        f"Calls: {sizes.enqueue:,} of each, {sizes.enqueue_many:,} events for track_events.",
    ]
    return Part("enqueue", "Enqueue: events a second that one process sends", list(series.values()), ratios, notes)


@contextmanager
def _syncing(bench: Bench, sync: str) -> Iterator[None]:
    bench.redis.config_set("appendfsync", sync)
    try:
        yield
    finally:
        bench.redis.config_set("appendfsync", "always")


def _send(bench: Bench, way: str, count: int) -> tuple[float, float]:
    """Send the events; return how many seconds it took, and how many of the sender's CPU."""
    redis = bench.redis
    bench.flush()
    command = [sys.executable, "-m", "benchmarks.contenders.senders", way, str(count)]
    done = subprocess.run(
        command, env=bench.environment(), cwd=bench.folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    there = redis.llen(QUEUES.get(way, keys.EVENTS))
    if there != WARM + count:
        raise AssertionError(f"{way}: {there:,} messages of {WARM + count:,} are there")
    bench.flush()
    seconds, cpu_seconds = map(float, done.stdout.split())
    return seconds, cpu_seconds
