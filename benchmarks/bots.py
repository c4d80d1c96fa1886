"""Bots: how long `track` takes, and how much time an adapter adds, for each state of Redis."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from tempfile import TemporaryDirectory
from typing import Final

from redis import Redis

from benchmarks.report import Part, Ratio, Series, progress
from benchmarks.servers import Bench
from benchmarks.sizes import Sizes
from participation.local.valkey import Valkey

PACE: Final = 20_000
CALM: Final = 1_000
"""Events a second: more than any bot receives, and as many as a very large bot receives."""

UPDATES: Final = 500
"""Updates a second that a bot receives while an adapter is measured."""

LIBRARIES: Final = {"aiogram": "aiogram", "telegram": "python-telegram-bot", "discord": "discord.py"}


def measure(bench: Bench, sizes: Sizes) -> Part:
    """Measure `track` and every adapter in turn, for the configured number of rounds."""
    track, series = _Track(), _adapters(sizes)
    for number in range(1, sizes.rounds + 1):
        progress("bots", number, sizes.rounds, "track")
        track.measure(bench, sizes)
        for library, name in LIBRARIES.items():
            progress("bots", number, sizes.rounds, name)
            _measure_adapter(bench, library, sizes, series)
    ratios = [
        Ratio("track, median of a call, one after the other", track.busy.median, 20, "at most", "µs"),
        Ratio("track, one process, sent and acknowledged", track.most.median, 20_000, "at least", "events/s"),
        *_added(series, sizes),
    ]
    notes = [
        "track: one process, until Redis (appendfsync always) has acknowledged every event. All events were counted. A "
        "call at 1,000 a second takes longer than at full speed, because the processor's caches have lost its data.",
        "Adapters: the time from when the library has read an update until the bot's own handler runs, p99, for "
        f"{sizes.updates:,} messages at {UPDATES:,} a second. Every update reached the handler.",
        "Redis down: no server listens; hanging: it accepts and does not answer; full: it refuses every write.",
    ]
    return Part("bots", "Bots: microseconds that a bot waits", [*track.series, *series.values()], ratios, notes)


class _Track:
    """The time that `track` takes its caller."""

    def __init__(self) -> None:
        self.busy = Series("track, one after the other, median", "µs")
        self.paced = Series(f"track, {PACE:,} a second, median", "µs")
        self.paced_p99 = Series(f"track, {PACE:,} a second, p99", "µs")
        self.calm = Series(f"track, {CALM:,} a second, median", "µs")
        self.most = Series("track, one after the other, sent", "events/s")

    @property
    def series(self) -> list[Series]:
        return [self.busy, self.paced, self.paced_p99, self.calm, self.most]

    def measure(self, bench: Bench, sizes: Sizes) -> None:
        middle, _, seconds = _track(bench, 0, sizes.track)
        self.busy.rounds.append(middle)
        self.most.rounds.append(sizes.track / seconds)
        middle, p99, _ = _track(bench, PACE, sizes.track)
        self.paced.rounds.append(middle)
        self.paced_p99.rounds.append(p99)
        self.calm.rounds.append(_track(bench, CALM, sizes.track // 50)[0])


def _track(bench: Bench, pace: float, count: int) -> tuple[float, float, float]:
    """Return the median and the p99 of a call, in µs, and the seconds until all were acknowledged."""
    bench.flush()
    middle, p99, seconds, sent = _run(bench, bench.valkey.url, "tracker", str(pace), str(count))
    if sent != count:
        raise AssertionError(f"{sent:,.0f} of {count:,} events were sent")
    bench.flush()
    return middle, p99, seconds


def _adapters(sizes: Sizes) -> dict[tuple[str, str], Series]:
    return {
        (library, state): Series(f"{name}, {state if state == 'without' else f'Redis {state}'}, p99", "µs")
        for library, name in LIBRARIES.items()
        for state in ("without", *sizes.redis_states)
    }


def _measure_adapter(bench: Bench, library: str, sizes: Sizes, series: dict[tuple[str, str], Series]) -> None:
    for state in ("without", *sizes.redis_states):
        with _redis(bench, state) as url:
            way = "without" if state == "without" else "with"
            _, p99 = _run(bench, url, "adapter", library, way, str(sizes.updates), str(UPDATES))
        series[library, state].rounds.append(p99)


def _added(series: dict[tuple[str, str], Series], sizes: Sizes) -> Iterator[Ratio]:
    """Yield for each library the maximum time that its adapter adds, over all states of Redis."""
    for library, name in LIBRARIES.items():
        without = series[library, "without"].median
        worst = max(series[library, state].median for state in sizes.redis_states)
        yield Ratio(f"{name}: p99 added, whatever Redis does", worst - without, 1_000, "at most", "µs")


@contextmanager
def _redis(bench: Bench, state: str) -> Iterator[str]:
    """Yield the URL of a Redis in this state."""
    bench.flush()
    if state in {"down", "hanging"}:
        with closing(socket.socket()) as listener:
            listener.bind(("127.0.0.1", 0))
            if state == "hanging":
                listener.listen(100)
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    elif state == "full":
        with Valkey(bench.folder / "full") as server, Redis.from_url(server.url) as client:
            client.config_set("maxmemory", 1)
            yield server.url
    else:
        yield bench.valkey.url
    bench.flush()


def _run(bench: Bench, url: str, program: str, *arguments: str) -> list[float]:
    command = [sys.executable, "-m", f"benchmarks.contenders.{program}", *arguments]
    # A spool of its own, so that the next bot does not send the events of this one.
    with TemporaryDirectory(dir=bench.folder) as spool:
        environment = bench.environment(REDIS_URL=url, PARTICIPATION_SPOOL_DIR=spool)
        done = subprocess.run(command, env=environment, cwd=bench.folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [float(figure) for figure in done.stdout.split()]
