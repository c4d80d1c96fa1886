"""A bot that publishes events with `track`: `python -m benchmarks.contenders.tracker PACE COUNT`.

PACE: events a second, sent in an open loop, or 0 for one after the other. Prints one line: the median and the 99th
percentile of the time of a call, in microseconds; the seconds until Redis had acknowledged all events; how many events
were sent.
"""

import sys
import time
from itertools import cycle, islice
from statistics import median, quantiles

from benchmarks import events
from participation.publish import Publisher

WARM = 2_000
DIFFERENT = 20_000
"""Number of different events. They are repeated if more are needed."""

TICK_SECONDS = 0.001


def main() -> None:
    pace, count = float(sys.argv[1]), int(sys.argv[2])
    publisher = Publisher()
    sent = events.events(DIFFERENT)
    for one in islice(cycle(sent), WARM):
        publisher.track(one)
    publisher.flush()
    costs = []
    begun = time.perf_counter()
    for number, one in enumerate(islice(cycle(sent), count)):
        while pace and begun + number / pace > time.perf_counter():
            time.sleep(TICK_SECONDS)
        called = time.perf_counter()
        is_taken = publisher.track(one)
        costs.append(time.perf_counter() - called)
        while not is_taken:  # the queue is full, because this sends faster than Redis takes events
            time.sleep(TICK_SECONDS)
            is_taken = publisher.track(one)
    publisher.flush(60)
    seconds = time.perf_counter() - begun
    print(1e6 * median(costs), 1e6 * quantiles(costs, n=100)[98], seconds, publisher.counters().sent - WARM)


if __name__ == "__main__":
    main()
