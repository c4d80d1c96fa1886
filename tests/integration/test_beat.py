"""Beat asks on time, whatever the clock did before."""

import json
import shelve
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import ScheduleEntry
from redis import Redis

from participation import keys
from participation.app import app
from participation.beat import Scheduler
from participation.local.processes import kill, spawn
from tests.worker import celery, eventually

AHEAD = timedelta(days=400)


def asked(redis: Redis) -> list[str]:
    """The tasks that Beat has sent, the first one first."""
    return [json.loads(each)["headers"]["task"] for each in reversed(redis.lrange(keys.NIGHTLY, 0, -1))]


def write_schedule(file: Path, last_run_at: datetime) -> None:
    """Write the file that a Beat leaves which last sent its tasks at this time."""
    with shelve.open(str(file)) as stored:
        stored["tz"], stored["utc_enabled"], stored["__version__"] = "UTC", True, "5"
        stored["entries"] = {
            name: ScheduleEntry(name, entry["task"], last_run_at, 7, entry["schedule"], app=app)
            for name, entry in app.conf.beat_schedule.items()
        }


@pytest.mark.parametrize(
    ("behind", "sent"),
    [(-AHEAD, {keys.COMPUTE_DUE_DAYS, keys.MAINTAIN}), (timedelta(minutes=10), {keys.COMPUTE_DUE_DAYS})],
)
def test_beat__whose_clock_was_ahead_asks_at_once(
    environment: None, redis: Redis, tmp_path: Path, behind: timedelta, sent: set[str]
) -> None:
    """A Beat that ran with a wrong clock and was restarted with a right one does not wait for more than a year."""
    write_schedule(tmp_path / "schedule", datetime.now(UTC) - behind)
    log = tmp_path / "beat.log"
    with log.open("wb") as output:
        command = celery("beat", "--loglevel=INFO", f"--schedule={tmp_path / 'schedule'}", "--pidfile=")
        process = spawn(command, signal.SIGTERM, stdout=output, stderr=output)
    try:
        eventually(lambda: sent <= set(asked(redis)) or process.poll() is not None)
    finally:
        kill(process)
    assert set(asked(redis)) == sent, log.read_text()
    assert log.read_text().count("last_run_in_future") == (len(sent) if behind < timedelta() else 0)


def test_beat__whose_clock_is_set_back_while_it_runs_goes_on(
    environment: None, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks at the clock at each tick, and asks once when the clock was set back, then in its interval."""
    now = datetime.now(UTC)
    monkeypatch.setattr(Celery, "now", lambda _app: now)  # a schedule that was read from its file has another app
    beat = Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    try:
        for step, times in ((timedelta(), 0), (AHEAD, 1), (-AHEAD, 2), (timedelta(), 2), (timedelta(seconds=301), 3)):
            now += step
            while not beat.tick():
                pass
            assert asked(redis).count(keys.COMPUTE_DUE_DAYS) == times
    finally:
        beat.close()
