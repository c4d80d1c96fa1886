"""PostgreSQL and Redis killed, stopped, full, silent and read-only, with bots sending all the while."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.proxy import Mode, Proxy
from tests.faults.report import Report
from tests.faults.rig import Rig, Servers, administer, answers, tear
from tests.worker import SECONDS, eventually

Judge = Callable[[str], Report]

TIMES = 3
DELAY_SECONDS = 2.0
"""The default of PARTICIPATION_PUBLISH_TIMEOUT_SECONDS."""

SLACK_SECONDS = 1.0
"""What two busy cores may add to it."""

AWAY_EVENTS = 150
"""Events that the bots get accepted while something else is away."""


def test_postgresql_killed__nothing_is_lost_or_dead(rig: Rig, holds: Judge) -> None:
    """PostgreSQL that is stopped as in a crash and comes back some seconds later gets every event once."""
    with rig.load(poison=0):
        rig.worker()
        for _ in range(TIMES):
            rig.more(100)
            with rig.fault():
                rig.servers.postgres.stop("immediate")
                rig.more(2 * AWAY_EVENTS)
                rig.servers.postgres.start()
    assert holds("PostgreSQL stopped -m immediate").dead == 0


@pytest.mark.matrix
def test_sessions_terminated__nothing_is_lost_or_dead(rig: Rig, holds: Judge) -> None:
    """Sessions that an administrator ends are opened again, and their batches are stored once."""
    with rig.load(poison=0):
        rig.worker()
        for _ in range(10):
            rig.more(30)
            with rig.fault():
                rig.terminate_sessions()
    assert holds("PostgreSQL's sessions terminated").dead == 0


def test_redis_killed__what_it_acknowledged_is_there(rig: Rig, holds: Judge) -> None:
    """Redis killed in the middle of writing, even with half a command at the end of its file, loses nothing."""
    with rig.load():
        rig.worker()
        for _ in range(TIMES):
            rig.more(100)
            with rig.fault():
                rig.servers.valkey.kill()
                tear(rig.servers.valkey.folder)
                rig.servers.valkey.start()
    holds("Redis killed, the end of its file torn")
    assert rig.seen("longest_seconds") < SECONDS  # it is never silent, so that only a bot that hangs takes long


@pytest.mark.matrix
def test_redis_shutdown_nosave__what_it_acknowledged_is_there(rig: Rig, holds: Judge) -> None:
    """`SHUTDOWN NOSAVE` keeps what the append-only file has, which is everything."""
    with rig.load():
        rig.worker()
        for _ in range(TIMES):
            rig.more(100)
            with rig.fault():
                rig.shut_redis_down()
                rig.servers.valkey.start()
    holds("Redis told SHUTDOWN NOSAVE")


@pytest.mark.matrix
def test_read_only__batches_wait(rig: Rig, holds: Judge) -> None:
    """A server that takes no writes for a while (25006) gets everything afterwards."""
    with rig.load(poison=0):
        rig.worker()
        for _ in range(TIMES):
            rig.more(50)
            with rig.fault(), rig.read_only():
                eventually(lambda: rig.said("read-only transaction"))
                rig.more(AWAY_EVENTS)
    assert holds("PostgreSQL read-only for a while (25006)").dead == 0


@pytest.fixture
def small_disk(servers: Servers) -> Iterator[Path]:
    """A file system of 2 MB, made the tablespace `small`."""
    disk = Path(tempfile.mkdtemp(prefix="participation-faults-"))
    owner = psutil.Process(servers.postgres.pid).uids().real
    try:
        mount(disk, f"size=2m,mode=0700,uid={owner}")
    except (OSError, subprocess.CalledProcessError) as error:
        disk.rmdir()
        pytest.skip(f"mounting a small file system needs root: {error}")
    try:
        administer(servers, f"CREATE TABLESPACE small LOCATION '{disk}'")
        yield disk
    finally:
        administer(servers, "DROP TABLESPACE IF EXISTS small")
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()


def mount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], check=True, capture_output=True)


@pytest.mark.matrix
def test_disk_full__goes_on_when_space_returns(small_disk: Path, rig: Rig, holds: Judge) -> None:
    """While the disk is full (53100) batches wait; when it has room again they are stored, and nothing is dead."""
    rig.sql(f"ALTER DATABASE {rig.name} SET default_tablespace = small")
    with rig.load(poison=0, rate=0):
        rig.worker()
        with rig.fault():
            eventually(lambda: rig.said("No space left on device"))
            rig.more(AWAY_EVENTS)
            mount(small_disk, "remount,size=256m")
    assert holds("data disk full (53100)").dead == 0


@pytest.mark.matrix
def test_table_locked__batches_wait(rig: Rig, holds: Judge) -> None:
    """While another session holds the table, tries end at `lock_timeout`; then everything is stored."""
    with rig.load(poison=0):
        rig.worker()
        rig.more(50)
        with rig.fault():
            connection = rig.session()
            with connection.cursor() as cursor:
                cursor.execute("LOCK participation_events IN ACCESS EXCLUSIVE MODE")
            eventually(lambda: rig.said("lock timeout"))
            rig.more(AWAY_EVENTS)
            connection.close()
    assert holds("table locked by another session").dead == 0


@pytest.mark.matrix
def test_partition_missing__is_made(rig: Rig, holds: Judge) -> None:
    """A partition that goes between the look for it and the insert (23514) is made again, and nothing is dead."""
    # While its rows are elsewhere nobody could recognise an event that is sent again.
    with rig.load(poison=0, again=0):
        rig.worker(PARTICIPATION_LOCK_TIMEOUT_SECONDS="30")
        eventually(lambda: rig.count("participation_events") > 0)
        for _ in range(TIMES):
            rig.more(50)
            with rig.fault():
                # What the bots send lies in this month; while the lock is held flushes have looked and wait.
                connection = rig.session()
                with connection.cursor() as cursor:
                    cursor.execute("LOCK participation_events IN ACCESS EXCLUSIVE MODE")
                    eventually(lambda: rig.waiting_for_locks() > 0)
                    cursor.execute(
                        "ALTER TABLE participation_events DETACH PARTITION participation_events_2026_03;"
                        "ALTER TABLE participation_events_2026_03 RENAME TO kept"
                    )
                connection.commit()
                connection.close()
            eventually(lambda: rig.said("no partition"))
            eventually(lambda: rig.count("participation_events") > 0)
            rig.sql("INSERT INTO participation_events SELECT * FROM kept ON CONFLICT DO NOTHING; DROP TABLE kept")
    assert holds("partition missing (23514)").dead == 0


@pytest.mark.matrix
def test_reply_to_commit_lost__batch_is_stored_once(rig: Rig, holds: Judge) -> None:
    """A batch whose COMMIT succeeded and whose worker never heard of it is not stored again."""
    with Proxy(rig.servers.postgres.port) as proxy:
        url = rig.database_url.replace(f":{rig.servers.postgres.port}/", f":{proxy.port}/")
        rig.worker(DATABASE_URL=url, PARTICIPATION_TASK_TIME_LIMIT_SECONDS="3")
        with rig.load():
            for mode in (Mode.CUT, Mode.HANG) * TIMES:
                rig.more(50)
                with rig.fault():
                    before = proxy.lost
                    proxy.lose(mode, b"COMMIT", after=b"UPDATE ingest_batches")
                    eventually(lambda: proxy.lost > before)  # noqa: B023 - asked before the next turn
        holds("reply to COMMIT lost, connection cut or left open")
    assert rig.log.read_text().count("batch_replayed") >= 2 * TIMES


@pytest.mark.matrix
def test_reply_to_lpush_lost__event_is_sent_again_and_stored_once(rig: Rig, holds: Judge) -> None:
    """An event whose sending raised although Redis took it is sent again, and recognised."""
    with Proxy(rig.servers.valkey.port) as proxy:
        url = rig.redis_url.replace(f":{rig.servers.valkey.port}/", f":{proxy.port}/")
        with rig.load(redis_url=url, poison=0):
            rig.worker()
            for mode in (Mode.CUT, Mode.HANG) * TIMES:
                rig.more(50)
                with rig.fault():
                    before = proxy.lost
                    proxy.lose(mode, b"LPUSH")
                    eventually(lambda: proxy.lost > before)  # noqa: B023 - asked before the next turn
    holds("reply to LPUSH lost, connection cut or left open")
    assert rig.seen("raised") >= 2 * TIMES
    assert rig.seen("longest_seconds") < DELAY_SECONDS + SLACK_SECONDS


@pytest.mark.matrix
@pytest.mark.parametrize("how", ["CLIENT PAUSE", "DEBUG SLEEP", "SIGSTOP", "half-open connection"])
def test_redis_silent__delay_raises_in_time(rig: Rig, holds: Judge, how: str) -> None:
    """However Redis stops answering, `delay` raises within its limit, and goes on when Redis does."""
    with Proxy(rig.servers.valkey.port) as proxy:
        url = rig.redis_url.replace(f":{rig.servers.valkey.port}/", f":{proxy.port}/")
        with rig.load(redis_url=url, poison=0):
            rig.worker()
            for _ in range(TIMES):
                rig.more(50)
                with rig.fault():
                    silence(rig, proxy, how)
    holds(f"Redis silent: {how}")
    assert rig.seen("raised") >= TIMES
    assert rig.seen("longest_seconds") < DELAY_SECONDS + SLACK_SECONDS


def silence(rig: Rig, proxy: Proxy, how: str) -> None:
    """Let Redis be silent for about three seconds."""
    if how == "half-open connection":
        proxy.lose(Mode.HANG, b"", times=3)
        eventually(lambda: proxy.lost % 3 == 0)
        return
    if how == "SIGSTOP":
        os.kill(rig.servers.valkey.pid, signal.SIGSTOP)
        eventually(after(3))
        os.kill(rig.servers.valkey.pid, signal.SIGCONT)
    with rig.redis() as redis:
        if how == "CLIENT PAUSE":
            redis.client_pause(3_000)
        if how == "DEBUG SLEEP":
            redis.execute_command("DEBUG", "SLEEP", "3")
        eventually(lambda: answers(redis))
        eventually(after(0.5))


def after(seconds: float) -> Callable[[], bool]:
    """Return the condition that so much time has gone by: the length of a fault, not a wait for something."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


@pytest.mark.matrix
@pytest.mark.parametrize("cut", [False, True])
def test_redis_full__delay_raises_and_draining_goes_on(rig: Rig, holds: Judge, cut: bool) -> None:
    """A full Redis refuses events with a clear error, and what it holds is stored, also by a worker that comes back."""
    with rig.load(poison=0):
        rig.worker()
        for _ in range(TIMES):
            rig.more(100)
            with rig.fault(), rig.full():
                if cut:
                    rig.cut_connections()
                eventually(rig.is_drained)
    holds("Redis full, noeviction" + (", and connections cut" if cut else ""))
    assert rig.seen("raised") >= TIMES


@pytest.mark.matrix
def test_connections_cut__worker_goes_on(rig: Rig, holds: Judge) -> None:
    """Every connection to Redis cut at once, again and again: the worker goes on by itself."""
    with rig.load():
        worker = rig.worker()
        for _ in range(2 * TIMES):
            rig.more(100)
            with rig.fault():
                rig.cut_connections()
        assert worker.poll() is None
    holds("connections to Redis cut (CLIENT KILL)")
