"""Nightly: computes a local day of every community, and compares the time with a plain GROUP BY over the same rows.

The communities are in the zone UTC, so that both read the same rows, except for voice events before and after the day.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from benchmarks import fill
from benchmarks.report import Part, Ratio, Series, progress
from benchmarks.servers import Bench
from benchmarks.sizes import Sizes
from participation.highlights.compute import compute_day
from participation.store.database import connect, transaction

LAST: Final = datetime(2026, 3, 30, tzinfo=UTC)
PROCESSES: Final = 2

GROUP_BY: Final = """
SELECT community_id, member_id,
    count(*) FILTER (WHERE event_type = 'MESSAGE_SENT'), count(*) FILTER (WHERE event_type = 'REACTION_ADDED'),
    count(*) FILTER (WHERE event_type LIKE 'VOICE%%'), count(DISTINCT extract(hour FROM occurred_at))
FROM participation_events
WHERE actor_kind = 'user' AND occurred_at >= %(start)s AND occurred_at < %(end)s
GROUP BY community_id, member_id
"""
COUNT_BY_MEMBER: Final = GROUP_BY.replace(", count(DISTINCT extract(hour FROM occurred_at))", "")
"""The lower limit: counts that read each row once. `GROUP_BY` also counts distinct hours, as the highlights do."""


def measure(bench: Bench, sizes: Sizes) -> Part:
    """Measure one day, for the configured number of rounds, and then all days."""
    engine = connect(bench.url)
    names = ("one after the other", "two at a time, as a worker does", "plain GROUP BY", "GROUP BY with distinct hours")
    series = {name: Series(f"one day: {name}", "s") for name in names}
    fill.days(bench, LAST, 1, sizes.nightly_day, sizes.nightly_members)
    for number in range(1, sizes.rounds + 1):
        progress("nightly", number, sizes.rounds, "one day")
        times = (_compute(bench, engine, [LAST], 1), _compute(bench, engine, [LAST], PROCESSES))
        for name, seconds in zip(names, (*times, _group(bench, COUNT_BY_MEMBER), _group(bench, GROUP_BY)), strict=True):
            series[name].rounds.append(seconds)
    _check(bench, 1)
    month = _month(bench, engine, sizes)
    engine.dispose()
    day, limit = series[names[1]].median, series[names[2]].median
    ratios = [
        Ratio("one day against the plain GROUP BY", day / limit, 3, "at most"),
        Ratio(f"{sizes.nightly_days} days against one", month.median / day, 1.1 * sizes.nightly_days, "at most"),
    ]
    notes = [
        f"{sizes.nightly_day:,} events a day of {sizes.nightly_members:,} members in 10 communities. "
        "The number of messages was compared with a count over the raw rows.",
        "The GROUP BY may use PostgreSQL's parallel workers, as it does by default.",
    ]
    return Part("nightly", "Nightly: seconds to compute", [*series.values(), month], ratios, notes)


def _month(bench: Bench, engine: Engine, sizes: Sizes) -> Series:
    """Measure all days in a table with a month of events, so that each day has neighbours."""
    progress("nightly", 1, 1, f"filling {sizes.nightly_days} days")
    earlier = LAST - timedelta(days=1)
    fill.days(bench, earlier, sizes.nightly_days - 1, sizes.nightly_day, sizes.nightly_members)
    starts = [LAST - timedelta(days=back) for back in reversed(range(sizes.nightly_days))]
    series = Series(f"{sizes.nightly_days} days: two at a time, as a worker does", "s")
    rounds = min(sizes.rounds, 3)
    for number in range(1, rounds + 1):
        progress("nightly", number, rounds, f"{sizes.nightly_days} days")
        series.rounds.append(_compute(bench, engine, starts, PROCESSES))
    _check(bench, sizes.nightly_days)
    return series


def _compute(bench: Bench, engine: Engine, starts: Sequence[datetime], processes: int) -> float:
    """Compute the days of all communities, each in a transaction, as the task does; return the seconds."""
    communities = [str(community) for (community,) in bench.sql("SELECT community_id FROM communities ORDER BY 1")]
    wanted = [(community, start.date()) for start in starts for community in communities]
    bench.sql("TRUNCATE member_daily_highlights, community_daily_highlights")
    bench.checkpoint()

    def compute(one: tuple[str, date]) -> bool:
        with transaction(engine) as connection:
            return compute_day(connection, *one)

    begun = time.perf_counter()
    with ThreadPoolExecutor(processes) as pool:
        done = list(pool.map(compute, wanted))
    seconds = time.perf_counter() - begun
    if not all(done):
        raise AssertionError("a community is unknown")
    return seconds


def _group(bench: Bench, query: str) -> float:
    counted = f"SELECT count(*) FROM ({query}) AS grouped"
    begun = time.perf_counter()
    bench.sql(counted, start=LAST, end=LAST + timedelta(days=1))
    return time.perf_counter() - begun


def _check(bench: Bench, days: int) -> None:
    """Raise an error unless the days have as many messages as the raw rows."""
    counted = bench.sql(
        "SELECT count(*) FROM participation_events WHERE event_type = 'MESSAGE_SENT' AND actor_kind = 'user'"
    )
    sums = bench.sql("SELECT sum(message_count) FROM member_daily_highlights")
    found = bench.sql("SELECT sum(message_count), count(DISTINCT highlight_date) FROM community_daily_highlights")
    if not (counted[0][0] == sums[0][0] == found[0][0] and found[0][1] == days):
        raise AssertionError(f"{counted} messages, {sums} and {found} in the highlights")
