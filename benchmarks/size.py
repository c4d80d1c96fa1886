"""Size: the speed of draining into a large table, and the memory for a long backlog."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread
from typing import Any, Final

import psutil

from benchmarks import drain, events, fill
from benchmarks.report import Part, Ratio, Series, progress
from benchmarks.servers import Bench
from benchmarks.sizes import Sizes
from participation import keys

FILLED_DAYS: Final = 30
LARGE: Final = "large"
SAMPLE_SECONDS: Final = 0.25
MIB: Final = 2**20


def measure(bench: Bench, sizes: Sizes) -> Part:
    """Drain into an empty and a large table in turn, and then drain a long backlog."""
    empty = bench.url.rsplit("/", 1)[1]
    tables = {empty: Series("drain, empty table", "events/s")}
    tables[LARGE] = Series(f"drain, table of {sizes.size_rows:,} rows", "events/s")
    progress("size", 1, 1, f"filling {sizes.size_rows:,} rows")
    bench.use(LARGE)
    members, last = events.MEMBERS, events.DAY - timedelta(days=1)
    fill.days(bench, last, FILLED_DAYS, sizes.size_rows // FILLED_DAYS, members)
    load = drain.Load.of(bench, events.events(sizes.size_drain))
    rounds = min(sizes.rounds, 3)
    for number in range(1, rounds + 1):
        for name, series in tables.items():
            progress("size", number, rounds, series.name)
            bench.use(name)
            series.rounds.append(drain.drain(bench, drain.ours(sizes.size_drain), load))
    bench.use(empty)
    bench.drop(LARGE)
    backlog, grown = _backlog(bench, sizes.size_backlog)
    ratios = [
        Ratio("large table against empty", tables[LARGE].median / tables[empty].median, 0.8, "at least"),
        Ratio("most memory of a process", max(_memory(backlog)), 200, "at most", "MiB"),
        Ratio("memory in the second half against the first", grown, 1.1, "at most"),
    ]
    notes = [
        "The events are from the day after the last day of the large table, and of the same communities and members.",
        f"A backlog of {sizes.size_backlog:,}: the resident memory of every process of the worker, read four times a "
        "second. After every run, the rows were counted and compared.",
    ]
    return Part("size", "Size: a large table and a long backlog", [*tables.values(), *backlog], ratios, notes)


def _memory(series: Sequence[Series]) -> list[float]:
    return [one.median for one in series if one.name.endswith("most memory")]


def _backlog(bench: Bench, count: int) -> tuple[list[Series], float]:
    """Drain a long backlog; return its figures, and the worker's memory in the second half against the first."""
    looks: list[list[float]] = []
    redis_bytes: list[int] = []
    load = drain.Load.of(bench, events.events(count))
    one = drain.ours(count)
    redis = bench.redis

    @contextmanager
    def watched(on: Bench) -> Iterator[drain.Processes]:
        with on.ours() as process, _sampling(process.pid, looks, redis_bytes, redis):
            yield process

    progress("size", 1, 1, f"a backlog of {count:,}")
    rate = drain.drain(bench, replace(one, run=watched), load)
    most = [max(one_process) for one_process in zip(*looks, strict=True)]
    names = ("the worker's own process", *(f"worker process {number}" for number in range(1, len(most))))
    series = [
        Series(f"drain of {count:,}", "events/s", [rate]),
        *(Series(f"{name}, most memory", "MiB", [mebibytes]) for name, mebibytes in zip(names, most, strict=True)),
        Series("Redis at its fullest", "MiB", [max(redis_bytes) / MIB]),
        Series("Redis at the end", "MiB", [redis_bytes[-1] / MIB]),
    ]
    half = (len(looks) + 1) // 2
    return series, max(map(max, looks[-half:])) / max(map(max, looks[:half]))


@contextmanager
def _sampling(pid: int, looks: list[list[float]], redis_bytes: list[int], redis: Any) -> Iterator[None]:
    """Read the memory while events wait, and once more at the end."""
    ended = Event()

    def look() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            redis_bytes.append(redis.info("memory")["used_memory"])
            if redis.exists(keys.EVENTS, keys.BATCHES):
                looks.append(_resident(pid))

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        redis_bytes.append(redis.info("memory")["used_memory"])
        looks.append(_resident(pid))


def _resident(pid: int) -> list[float]:
    """Return the resident memory of the worker's own process and of its child processes, in MiB."""
    worker = psutil.Process(pid)
    return [process.memory_info().rss / MIB for process in (worker, *worker.children(recursive=True))]
