"""Workers paused, stopped, doubled, upgraded; messages delivered twice; Beat away: with bots sending all the while."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from participation import keys, message
from participation.ingest.claim import sweep
from participation.local.processes import kill
from tests.faults.producer import COMMUNITIES
from tests.faults.proxy import Mode, Proxy
from tests.faults.report import Report
from tests.faults.rig import Rig
from tests.worker import SECONDS, eventually

pytestmark = pytest.mark.matrix

Judge = Callable[[str], Report]

TIMES = 3


@pytest.mark.parametrize("point", ["after_claim", "after_copy", "after_commit"])
def test_owner_paused__late_owner_harms_nothing(rig: Rig, holds: Judge, point: str) -> None:
    """A process that is frozen with a batch in hand and goes on after others have looked after it changes nothing."""
    with rig.load():
        rig.stopping_worker(point)
        owner = rig.stopped_process()
        with rig.fault():
            os.kill(owner, signal.SIGSTOP)
            rig.marker.write_text("")
            held = rig.open_batches()
            rig.worker()
            # Handed out again while the owner is frozen; where it holds a transaction open, others leave it alone.
            if point == "after_copy":
                eventually(lambda: rig.said("batch_taken"))
            else:
                eventually(lambda: not held & rig.open_batches())
            rig.more(100)
            os.kill(owner, signal.SIGCONT)
        eventually(lambda: not held & rig.open_batches())
    holds(f"owner paused {point.replace('_', ' ')}, not dead")


def test_overlapping_batches__no_deadlock_surfaces(rig: Rig, holds: Judge) -> None:
    """Two workers store the same events in batches that overlap; each event is stored once and nobody notices."""
    with rig.load(bots=2, same=True, rate=600), rig.fault():
        rig.worker(PARTICIPATION_BATCH_SIZE="200")
        rig.worker(PARTICIPATION_BATCH_SIZE="200")
        rig.more(4_000)
    holds("two workers, overlapping events")
    assert not rig.said("deadlock")
    assert not rig.said("ERROR")


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_worker_told_to_stop__nothing_is_lost(rig: Rig, holds: Judge, asked: signal.Signals) -> None:
    """However a worker is told to stop, what it has not committed is still there for the next one."""
    with rig.load():
        for _ in range(TIMES):
            worker = rig.worker()
            rig.more(100)
            with rig.fault():
                worker.send_signal(asked)
                worker.wait(SECONDS)
                rig.more(50)
        rig.worker()
    holds(f"worker told to stop: {asked.name}")


def test_same_message_three_times__is_one_row(rig: Rig, holds: Judge) -> None:
    """Messages, and pointers to batches, that are delivered three times are stored once."""
    with rig.load(poison=0), rig.redis() as redis:
        rig.more(300)
        with rig.fault():
            for waiting in redis.lrange(keys.EVENTS, 0, -1):
                redis.lpush(keys.EVENTS, waiting, waiting)
            rig.worker(PARTICIPATION_BATCH_SIZE="100")
            for _ in range(20):
                sweep(redis, 0, 100)
                rig.more(20)
    holds("same message delivered three times")
    ((duplicates,),) = rig.sql("SELECT sum(duplicates) FROM ingest_batches")
    assert int(str(duplicates)) >= 600


def test_migration__old_and_new_workers_both_work(rig: Rig, holds: Judge) -> None:
    """A schema that moves on under running workers, and is newer than they know, stops neither old ones nor new."""
    with rig.load():
        rig.worker()
        rig.more(100)
        with rig.fault():
            # What a later version's migration would do: a column more, an index more, another revision.
            rig.sql("ALTER TABLE participation_events ADD COLUMN later text")
            rig.sql("ALTER TABLE dead_letters ADD COLUMN later text")
            rig.sql("CREATE INDEX later ON participation_events (member_id)")
            rig.sql("UPDATE alembic_version SET version_num = '9999_later'")
            rig.more(100)
            rig.worker()
            rig.more(100)
        assert all(worker.poll() is None for worker in rig.workers)
    holds("migration while events flow")


def test_beat_down__every_due_day_is_computed_once(rig: Rig, holds: Judge) -> None:
    """Days that closed while Beat was down are computed when it is back, each once, also if it is killed again."""
    with rig.load(rate=0):
        rig.worker()
        rig.more(500)
        with rig.fault():
            rig.worker("-Q", keys.NIGHTLY)
    eventually(lambda: rig.open_batches() == set())
    assert rig.count("community_daily_highlights") == 0
    kill(rig.beat(PARTICIPATION_COMPUTE_INTERVAL_SECONDS="1"))
    rig.beat(PARTICIPATION_COMPUTE_INTERVAL_SECONDS="1")
    eventually(lambda: rig.count("due_days") == 0)
    assert rig.count("community_daily_highlights") == len(COMMUNITIES) * 4
    two_rounds_of_beat(rig)  # days that were asked for twice are behind us
    computed = rig.sql("SELECT community_id, highlight_date, computed_at FROM community_daily_highlights")
    two_rounds_of_beat(rig)
    assert rig.sql("SELECT community_id, highlight_date, computed_at FROM community_daily_highlights") == computed
    holds("Beat down over midnight")


def two_rounds_of_beat(rig: Rig) -> None:
    """Wait until Beat has asked twice more what is due, and has its answers."""
    asked = rig.log.read_text().count("compute_due_days[")
    eventually(lambda: rig.log.read_text().count("compute_due_days[") >= asked + 6)


def test_reply_to_commit_of_a_day_lost__ingest_goes_on(rig: Rig, holds: Judge) -> None:
    """Processes that wait for ever for the COMMIT of a day are replaced: events are stored, the day is computed."""
    with Proxy(rig.servers.postgres.port) as proxy:
        url = rig.database_url.replace(f":{rig.servers.postgres.port}/", f":{proxy.port}/")
        with rig.load():
            rig.worker(DATABASE_URL=url, PARTICIPATION_TASK_TIME_LIMIT_SECONDS="4")
            rig.more(200)
            with rig.fault():
                # As many as the worker has processes.
                proxy.lose(Mode.HANG, b"COMMIT", times=2, after=b"community_daily_highlights")
                rig.beat(PARTICIPATION_COMPUTE_INTERVAL_SECONDS="1")
                eventually(lambda: proxy.lost == 2)
            rig.more(100)
            eventually(lambda: rig.said("Hard time limit"))
        holds("reply to the COMMIT of a day's computation lost")


def test_worker_frozen__its_transaction_ends(rig: Rig, holds: Judge) -> None:
    """A worker that is frozen as a whole and never goes on loses its transaction, and another stores the batch."""
    with rig.load():
        frozen = rig.stopping_worker("after_copy")
        rig.stopped_process()
        held = rig.open_batches()
        with rig.fault():
            os.killpg(frozen.pid, signal.SIGSTOP)
            rig.worker()
        eventually(lambda: not held & rig.open_batches())
    holds("whole worker frozen in the middle of a transaction")


def test_clock_days_off__refused_or_counted_on_its_day(rig: Rig, holds: Judge) -> None:
    """What a bot with a wrong clock sends is refused with the reason, or counted on the day that it says."""
    behind = datetime.now(UTC) - timedelta(days=400)
    ahead = datetime.now(UTC) + timedelta(days=3)
    clocks = {"behind": behind, "ahead": ahead}
    with rig.load(poison=0), rig.redis() as redis:
        rig.worker()
        with rig.fault():
            for name, at in clocks.items():
                event = {
                    "event_type": "MESSAGE_SENT",
                    "platform": "irc",
                    "community_id": "harbour",
                    "member_id": "ada",
                    "object_id": name,
                    "occurred_at": at.isoformat(),
                }
                rig.note({"event": event})
                redis.lpush(keys.EVENTS, message.encode(event))
            eventually(lambda: rig.count("dead_letters") == 1)
    assert holds("clock of a bot days off").dead == 1
    ((reason, detail),) = rig.sql("SELECT reason, detail FROM dead_letters")
    assert reason == "invalid_event"
    assert str(detail).startswith("occurred_at: must be an RFC 3339")
    assert rig.sql("SELECT message_count FROM community_daily_highlights WHERE highlight_date = %s", behind.date()) == [
        (1,)
    ]


def test_unknown_failure__worker_stops_loudly_and_nothing_is_lost(rig: Rig, holds: Judge) -> None:
    """An error that nobody foresaw ends the worker with code 1 and a clear line; put right, everything is stored."""
    trigger = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room at the inn'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON participation_events FOR EACH ROW EXECUTE FUNCTION refuse();
    """
    with rig.load(poison=0):
        worker = rig.worker()
        rig.more(100)
        with rig.fault():
            rig.sql(trigger)
            assert worker.wait(SECONDS) == 1
            assert rig.said("worker_halted")
            assert rig.said("no room at the inn")
            rig.more(100)
            rig.sql("DROP FUNCTION refuse() CASCADE")
            rig.worker()
    assert holds("unknown failure: the worker stops").dead == 0
