"""`make bench`: run the parts on real servers, print the results, and write them into `benchmarks/results`."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import bots, drain, enqueue, latency, nightly, size
from benchmarks.report import Part, figure, write
from benchmarks.servers import Bench, machine, running
from benchmarks.sizes import FULL, QUICK, Sizes

PARTS: Final[dict[str, Callable[[Bench, Sizes], Part]]] = {
    "drain": drain.measure,
    "enqueue": enqueue.measure,
    "bots": bots.measure,
    "latency": latency.measure,
    "nightly": nightly.measure,
    "size": size.measure,
}
RESULTS: Final = Path(__file__).parent / "results"


def main() -> None:
    arguments = _arguments()
    # SIGTERM must also end the servers and workers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sizes = QUICK if arguments.quick else FULL
    results = []
    with running() as bench:
        found = machine(bench)
        print(*(f"{name}: {value}" for name, value in found.items()), sep="\n", flush=True)
        for name in arguments.parts or PARTS:
            begun = time.monotonic()
            bench.use(name)
            results.append(PARTS[name](bench, sizes))
            bench.drop(name)
            _show(results[-1], time.monotonic() - begun)
            write(RESULTS / "quick" if arguments.quick else RESULTS, results[-1], found)
    if not arguments.quick and not all(ratio.holds for part in results for ratio in part.ratios):
        print("some goals do not hold", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="use small sizes, and do not compare the times with the goals"
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="the parts to run; all by default")
    return parser.parse_args()


def _show(part: Part, seconds: float) -> None:
    print(f"\n{part.title} ({seconds:.0f} s)")
    for series in part.series:
        print(f"  {series.name:<48}{figure(series.median):>12} {series.unit}")
    for ratio in part.ratios:
        goal = f"{ratio.sense} {figure(ratio.goal)} {ratio.unit}"
        print(f"  {ratio.name:<48}{figure(ratio.value):>12} {ratio.unit}   goal: {goal}")
    print(*(f"  {note}" for note in part.notes), sep="\n", flush=True)


if __name__ == "__main__":
    main()
