"""The same faults on variants with one guarantee taken out: the checker must find what is lost or doubled."""

import os
import signal
from pathlib import Path

import pytest

from tests.faults.rig import Rig, newest_file

pytestmark = pytest.mark.matrix

TIMES = 3
"""How often a process is killed: with one batch the guarantee might not have mattered."""


@pytest.mark.parametrize(
    ("variant", "point", "caught"),
    [
        ("batch list deleted before COMMIT", "after_copy", "I1"),
        ("events have no identity", "after_commit", "I2"),
        ("batches have no identity", "after_commit", "I2"),
        ("poison dropped", "after_commit", "I1"),
    ],
)
def test_broken_worker__is_caught(rig: Rig, variant: str, point: str, caught: str) -> None:
    """A worker that breaks the promise does not get past the checker."""
    # With poison behind every event, so that every batch that is killed holds some.
    with rig.load(poison=1):
        rig.stopping_worker(point, app="tests.faults.broken", BROKEN=variant)
        for _ in range(TIMES):
            rig.marker.unlink(missing_ok=True)
            os.kill(rig.stopped_process(), signal.SIGKILL)
            rig.more(200)
    report = rig.verdict()
    assert caught in report.broken, f"{variant}\n{report}"
    assert "I7" not in report.broken
    assert report.lost + report.double > 0


@pytest.mark.parametrize("variant", ["no append-only file", "disk that lies"])
def test_broken_redis__is_caught(rig: Rig, variant: str) -> None:
    """A Redis that forgets what it acknowledged does not get past the checker."""
    with rig.load():
        rig.more(100)
        if variant == "no append-only file":
            with rig.redis() as redis:
                redis.config_set("appendonly", "no")
        rig.more(300)
        rig.servers.valkey.kill()
        if variant == "disk that lies":
            cut(rig.servers.valkey.folder)
        rig.servers.valkey.start()
        rig.worker()
        rig.more(100)
    report = rig.verdict()
    assert "I1" in report.broken, f"{variant}\n{report}"
    assert report.lost > 0


def cut(folder: Path) -> None:
    """Take the last 100 KB off the append-only file, as if they had been acknowledged and never written."""
    file = newest_file(folder)
    os.truncate(file, file.stat().st_size - 100_000)
