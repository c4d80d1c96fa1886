"""How much each part measures, and in how many rounds, for full and for quick runs."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of events, if the name does not say otherwise. Slow contenders get only the first of the same events.

    redis_states: the states of Redis in which adapters are measured. up: it answers. down: no server listens. hanging:
    it accepts connections and does not answer. full: it refuses writes.
    """

    rounds: int
    drain: int
    drain_batches: int
    drain_single: int
    enqueue: int
    enqueue_many: int
    track: int
    updates: int
    redis_states: tuple[str, ...]
    latency_seconds: int
    latency_rate: int
    latency_burst: int
    nightly_day: int
    nightly_members: int
    nightly_days: int
    size_rows: int
    size_drain: int
    size_backlog: int


FULL: Final = Sizes(
    rounds=5,
    drain=300_000,
    drain_batches=20_000,
    drain_single=5_000,
    enqueue=20_000,
    enqueue_many=200_000,
    track=200_000,
    updates=2_000,
    redis_states=("up", "down", "hanging", "full"),
    latency_seconds=60,
    latency_rate=1_000,
    latency_burst=20_000,
    nightly_day=1_440_000,
    nightly_members=50_000,
    nightly_days=30,
    size_rows=30_000_000,
    size_drain=300_000,
    size_backlog=1_000_000,
)

QUICK: Final = Sizes(
    rounds=1,
    drain=20_000,
    drain_batches=3_000,
    drain_single=500,
    enqueue=500,
    enqueue_many=10_000,
    track=10_000,
    updates=100,
    redis_states=("up", "down"),
    latency_seconds=5,
    latency_rate=500,
    latency_burst=2_000,
    nightly_day=20_000,
    nightly_members=2_000,
    nightly_days=3,
    size_rows=100_000,
    size_drain=20_000,
    size_backlog=40_000,
)
