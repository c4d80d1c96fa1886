"""Processes killed, paused and stopped at exact points of the flush, with bots sending all the while."""

import os
import signal
from collections.abc import Callable

import pytest

from participation.local.processes import kill
from tests.faults.report import Report
from tests.faults.rig import Rig
from tests.worker import SECONDS, eventually

Judge = Callable[[str], Report]

TIMES = 2
"""How often each point is met in one test."""


@pytest.mark.parametrize(
    ("point", "name"),
    [
        ("after_copy", "worker child killed before COMMIT"),
        ("after_commit", "worker child killed after COMMIT, before the list goes"),
    ],
)
def test_child_killed__batch_is_stored_once(rig: Rig, holds: Judge, point: str, name: str) -> None:
    """Whichever side of the COMMIT a process is killed on, its batch runs again and every event is stored once."""
    with rig.load():
        rig.stopping_worker(point)
        for _ in range(TIMES):
            rig.marker.unlink(missing_ok=True)
            with rig.fault():
                os.kill(rig.stopped_process(), signal.SIGKILL)
            rig.more(100)
    holds(name)


def test_all_killed_after_claim__sweeper_brings_the_batch_back(rig: Rig, holds: Judge) -> None:
    """When every process of a worker dies with batches in hand, a new worker finds and stores them."""
    with rig.load():
        for _ in range(TIMES):
            # It is not to find its own batch again: on a busy machine the other process would store it before the kill.
            worker = rig.stopping_worker("after_claim", PARTICIPATION_SWEEP_AFTER_SECONDS="600")
            rig.stopped_process()
            rig.more(100)
            with rig.fault():
                kill(worker)
                rig.marker.unlink()
                left = rig.open_batches()
                worker = rig.worker()
            assert left
            eventually(lambda: not left & rig.open_batches())  # noqa: B023 - asked before the next turn
            worker.terminate()
            worker.wait(SECONDS)
        rig.worker()
    holds("all worker processes killed after the claim")
