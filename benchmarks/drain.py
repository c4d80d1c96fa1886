"""Drain: the time to move a backlog from Redis into the table.

Every contender is first started and warmed up. The measurement begins when the backlog appears at once (RENAME), and
ends with the last commit of its rows, by the clock of PostgreSQL. Then the rows are counted and compared.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any, Final

import psycopg2
from redis import Redis

from benchmarks import events
from benchmarks.contenders.rows import COLUMNS
from benchmarks.report import Part, Ratio, Series, progress
from benchmarks.servers import STOCK, Bench
from benchmarks.sizes import Sizes
from participation import keys
from participation.store.schema.tables import metadata

STAGED: Final = "bench.staged"
STREAM, GROUP = "streams.events", "store"
WARM: Final = 11_000
"""Events before the measured ones for contenders with large batches, so that both processes get a batch."""

HASH: Final = f"coalesce(sum(hashtextextended(CAST(({COLUMNS}) AS text), 0)), 0)"
CHECK: Final = f"""
SELECT count(*), {HASH}, extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))
FROM participation_events WHERE occurred_at >= %s AND occurred_at < %s
"""


Processes = subprocess.Popen[bytes] | list[subprocess.Popen[bytes]]


@dataclass(frozen=True)
class Load:
    """Events, the rows prepared from them, and their count and hash as PostgreSQL sees them."""

    sent: Sequence[events.Event]
    prepared: str
    expected: tuple[int, int]

    @classmethod
    def of(cls, bench: Bench, sent: Sequence[events.Event]) -> "Load":
        prepared = events.as_csv(sent)
        with closing(psycopg2.connect(bench.url)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE prepared (LIKE participation_events INCLUDING ALL)")
            cursor.copy_expert(f"COPY prepared ({COLUMNS}) FROM STDIN (FORMAT csv)", StringIO(prepared))
            cursor.execute(f"SELECT count(*), {HASH} FROM prepared")
            ((count, content),) = cursor.fetchall()
            return cls(sent, prepared, (count, content))


@dataclass(frozen=True)
class Contender:
    """One way from Redis into the table.

    warm: number of events before the measured ones, a multiple of its batch size. stage: puts messages into a key. run:
    starts the contender. target: the key that it reads. is_done: returns whether no message is left or in progress.
    """

    name: str
    count: int
    warm: int
    stage: Callable[[Bench, str, Sequence[events.Event]], object]
    run: Callable[[Bench], AbstractContextManager[Processes]]
    target: str
    is_done: Callable[[Redis], bool]


def measure(bench: Bench, sizes: Sizes) -> Part:
    """Measure all contenders in turn, for the configured number of rounds."""
    contenders = _contenders(sizes)
    series = {one.name: Series(one.name, "events/s") for one in contenders}
    limit = Series("raw COPY, one connection", "events/s")
    sent = events.events(sizes.drain)
    loads = {count: Load.of(bench, sent[:count]) for count in {one.count for one in contenders}}
    for number in range(1, sizes.rounds + 1):
        for one in contenders:
            progress("drain", number, sizes.rounds, one.name)
            series[one.name].rounds.append(drain(bench, one, loads[one.count]))
        limit.rounds.append(_raw_copy(bench, loads[sizes.drain]))
    part = Part("drain", "Drain: events a second from a backlog into the table", [*series.values(), limit], [], [])
    part.ratios = _ratios(part)
    part.notes = [
        "After every run, the rows were counted, and the hash of their content was compared with the expected one.",
        f"Events: {', '.join(f'{one.name} {one.count:,}' for one in contenders)}; the same events in the same order.",
    ]
    return part


def _ratios(part: Part) -> list[Ratio]:
    ours = part.of("participation, 2 processes")
    return [
        Ratio("against celery-batches", ours / part.of("celery-batches, 2 processes"), 40, "at least"),
        Ratio("against Streams by hand, 2 processes", ours / part.of("Streams by hand, 2 processes"), 1, "at least"),
        Ratio("against raw COPY", ours / part.of("raw COPY, one connection"), 0.5, "at least"),
    ]


def _contenders(sizes: Sizes) -> list[Contender]:
    return [
        ours(sizes.drain),
        _streams(sizes.drain, 2),
        _streams(sizes.drain, 1),
        _celery("celery-batches, 2 processes", "stock.batches", sizes.drain_batches, 2000, 1000),
        _celery("one Celery task an event, 2 processes", "stock.single", sizes.drain_single, 200, 128),
    ]


def ours(count: int) -> Contender:
    return Contender(
        "participation, 2 processes",
        count,
        WARM,
        lambda bench, key, sent: bench.fill(key, events.ours(sent)),
        Bench.ours,
        keys.EVENTS,
        lambda redis: not redis.exists(keys.EVENTS) and not redis.zcard(keys.BATCHES),
    )


def _celery(name: str, task: str, count: int, warm: int, prefetch: int) -> Contender:
    return Contender(
        name,
        count,
        warm,
        lambda bench, key, sent: bench.fill(key, events.stock(task, sent)),
        lambda bench: bench.stock(prefetch),
        "celery",
        lambda redis: not redis.exists("celery") and not redis.exists("unacked"),
    )


def _streams(count: int, processes: int) -> Contender:
    return Contender(
        f"Streams by hand, {processes} process{'es' if processes > 1 else ''}",
        count,
        WARM,
        _stage_stream,
        lambda bench: _consumers(bench, processes),
        STREAM,
        _is_read,
    )


def _stage_stream(bench: Bench, key: str, sent: Sequence[events.Event]) -> None:
    redis = bench.redis
    redis.xgroup_create(key, GROUP, id="0", mkstream=True)
    with redis.pipeline(transaction=False) as pipe:
        for number, element in enumerate(events.as_json(sent), 1):
            pipe.xadd(key, {"event": element})
            if number % 500 == 0:
                pipe.execute()
        pipe.execute()


@contextmanager
def _consumers(bench: Bench, processes: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    with ExitStack() as stack:
        command: list[str | Path] = [STOCK, "-m", "benchmarks.contenders.streams"]
        yield [stack.enter_context(bench.process([*command, f"c{number}"])) for number in range(processes)]


def _is_read(redis: Redis) -> bool:
    groups: Any = redis.xinfo_groups(STREAM)
    (group,) = groups
    return bool(group["lag"] == 0 and group["pending"] == 0)


def drain(bench: Bench, one: Contender, load: Load) -> float:
    """Run one contender and return its events a second. Rows of other days stay in the table."""
    clear(bench)
    redis = bench.redis
    bench.flush()
    one.stage(bench, one.target, events.events(one.warm, seed=2))
    with one.run(bench) as process:
        running = process if isinstance(process, list) else [process]
        bench.await_(lambda: one.is_done(redis), *running)
        bench.await_(lambda: _stored(bench)[0] == one.warm, *running)
        clear(bench)
        one.stage(bench, STAGED, load.sent)
        bench.checkpoint()
        begun = time.time()
        redis.rename(STAGED, one.target)
        bench.await_(lambda: one.is_done(redis), *running, seconds=900)
        # An ordinary task is acknowledged before it runs, so its rows may come a moment later.
        bench.await_(lambda: _stored(bench)[0] == len(load.sent), *running, seconds=30)
    return len(load.sent) / (_checked(bench, load) - begun)


def clear(bench: Bench) -> None:
    """Remove the rows of the measured day. If there are no other rows, use TRUNCATE, which leaves no dead rows."""
    others = ", ".join(name for name in metadata.tables if name != "participation_events")
    bench.sql(f"TRUNCATE {others}")
    if bench.sql("SELECT FROM participation_events WHERE occurred_at < %s LIMIT 1", events.DAY):
        bench.sql("DELETE FROM participation_events WHERE occurred_at >= %s", events.DAY)
        bench.sql("VACUUM participation_events")
    else:
        bench.sql("TRUNCATE participation_events")


def _checked(bench: Bench, load: Load) -> float:
    """Return the time of the last commit. Raise an error unless exactly the rows of these events are stored."""
    count, content, ended = _stored(bench)
    if (count, content) != load.expected:
        raise AssertionError(f"stored {count:,} rows with the hash {content}, expected {load.expected}")
    return float(ended)


def _stored(bench: Bench) -> tuple[int, int, float]:
    return bench.sql(CHECK, events.DAY, events.DAY + timedelta(days=1))[0]


def _raw_copy(bench: Bench, load: Load) -> float:
    clear(bench)
    prepared = StringIO(load.prepared)
    with closing(psycopg2.connect(bench.url)) as connection:
        bench.checkpoint()
        begun = time.time()
        with connection, connection.cursor() as cursor:
            cursor.copy_expert(f"COPY participation_events ({COLUMNS}) FROM STDIN (FORMAT csv)", prepared)
    return len(load.sent) / (_checked(bench, load) - begun)
