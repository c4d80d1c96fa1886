"""Random faults under load, in an order and at times that a seed decides, and the checker at the end.

    python -m tests.faults.storm --seed 7 --minutes 5      bots send at a steady rate for so long
    python -m tests.faults.storm --seed 7 --events 1000000 bots send so many events as fast as they can

Prints what it does, then the checker's findings. Exit code 0 if every invariant holds and no worker ended by itself, 1
otherwise: then the folder with all logs and ledgers is kept, and the same seed does the same again.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Final

from psutil import NoSuchProcess
from sqlalchemy import Connection

from participation.errors import ConfigError, Unavailable
from participation.local.postgres import Postgres
from participation.local.processes import kill
from participation.store.communities import grouping
from participation.store.communities import settings as communities
from participation.store.database import connect, transaction
from participation.store.schema.migrate import migrate
from tests.faults.producer import COMMUNITIES
from tests.faults.rig import Debuggable, Rig, Row, Servers, table, tear

BOTS: Final = 2
RATE: Final = 250.0
"""Events a second of each bot when the storm lasts for a time."""

PAUSE_SECONDS: Final = (0.5, 4.0)
"""Shortest and longest time between the end of a fault and the next."""

ZONES: Final = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns")

OUTAGE_SECONDS: Final = (0.0, 3.0)
REST_SECONDS: Final = 180.0
TELL_SECONDS: Final = 15.0


class Storm:
    """One run. faults: what was done how often. ended: workers that ended without being asked to."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.random = random.Random(f"storm {rig.seed}")
        self.faults: Counter[str] = Counter()
        self.ended: list[int | None] = []
        self.worker = rig.worker()
        self.beat = rig.beat(PARTICIPATION_COMPUTE_INTERVAL_SECONDS="5")
        self.kinds: dict[str, Callable[[], None]] = {
            "worker child killed": self.kill_child,
            "worker child frozen": self.freeze_child,
            "worker killed with all its children": self.kill_worker,
            "worker told to stop (SIGTERM)": self.stop_worker,
            "Beat killed": self.kill_beat,
            "PostgreSQL killed": self.kill_postgresql,
            "PostgreSQL stopped -m immediate": self.stop_postgresql,
            "PostgreSQL's sessions terminated": self.terminate_sessions,
            "PostgreSQL read-only": self.make_read_only,
            "table locked": self.lock_table,
            "Redis killed, the end of its file torn": self.kill_redis,
            "Redis told SHUTDOWN NOSAVE": self.shut_redis_down,
            "Redis frozen": self.freeze_redis,
            "Redis full": self.fill_redis,
            "connections to Redis cut": self.cut_connections,
            "communities grouped": self.group,
            "communities ungrouped": self.ungroup,
            "time zone changed": self.change_zone,
        }

    def blow(self, goes_on: Callable[[], bool]) -> None:
        """Do one fault after another as long as it goes on."""
        begun = told = time.monotonic()
        while goes_on():
            self.wait(*PAUSE_SECONDS)
            self.look_after_worker()
            name = self.random.choice(list(self.kinds))
            with self.rig.fault():
                self.kinds[name]()
            self.faults[name] += 1
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                accepted, faults = self.rig.accepted(), self.faults.total()
                print(f"{told - begun:>6.0f} s  {accepted:>9,} accepted  {faults:>4} faults", flush=True)
        self.look_after_worker()

    def wait(self, shortest: float, longest: float) -> None:
        time.sleep(self.random.uniform(shortest, longest))

    def outage(self) -> None:
        self.wait(*OUTAGE_SECONDS)

    def look_after_worker(self) -> None:
        """A worker that ends by itself breaks the promise that no hand is needed; note it and go on."""
        if self.worker.poll() is not None:
            self.ended.append(self.worker.returncode)
            self.worker = self.rig.worker()

    def child(self) -> int | None:
        children = self.rig.children(self.worker)
        return self.random.choice(children) if children else None

    def kill_child(self) -> None:
        if child := self.child():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def freeze_child(self) -> None:
        if child := self.child():
            with suppress(ProcessLookupError, NoSuchProcess):
                os.kill(child, signal.SIGSTOP)
                self.outage()
                os.kill(child, signal.SIGCONT)

    def kill_worker(self) -> None:
        kill(self.worker)
        self.outage()
        self.worker = self.rig.worker()

    def stop_worker(self) -> None:
        self.worker.terminate()
        try:
            self.worker.wait(60)
        except subprocess.TimeoutExpired:
            self.ended.append(None)
            kill(self.worker)
        self.worker = self.rig.worker()

    def kill_beat(self) -> None:
        kill(self.beat)
        self.beat = self.rig.beat(PARTICIPATION_COMPUTE_INTERVAL_SECONDS="5")

    def kill_postgresql(self) -> None:
        self.rig.servers.postgres.kill()
        self.outage()
        self.rig.servers.postgres.start()

    def stop_postgresql(self) -> None:
        self.rig.servers.postgres.stop("immediate")
        self.outage()
        self.rig.servers.postgres.start()

    def terminate_sessions(self) -> None:
        self.rig.terminate_sessions()

    def make_read_only(self) -> None:
        with self.rig.read_only():
            self.outage()

    def lock_table(self) -> None:
        session = self.rig.session()
        with session.cursor() as cursor:
            cursor.execute("LOCK participation_events IN ACCESS EXCLUSIVE MODE")
        self.outage()
        session.close()

    def kill_redis(self) -> None:
        self.rig.servers.valkey.kill()
        tear(self.rig.servers.valkey.folder)
        self.outage()
        self.rig.servers.valkey.start()

    def shut_redis_down(self) -> None:
        self.rig.shut_redis_down()
        self.outage()
        self.rig.servers.valkey.start()

    def freeze_redis(self) -> None:
        os.kill(self.rig.servers.valkey.pid, signal.SIGSTOP)
        self.outage()
        os.kill(self.rig.servers.valkey.pid, signal.SIGCONT)

    def fill_redis(self) -> None:
        with self.rig.full():
            self.outage()

    def cut_connections(self) -> None:
        self.rig.cut_connections()

    def group(self) -> None:
        """Group two communities of the bots, or fail as an operator would while PostgreSQL is away."""
        first, second = self.random.sample(COMMUNITIES, 2)
        self._administer(lambda connection: grouping.group(connection, first, [second]))

    def ungroup(self) -> None:
        part = self.random.choice(COMMUNITIES)
        self._administer(lambda connection: grouping.ungroup(connection, [part]))

    def change_zone(self) -> None:
        community, zone = self.random.choice(COMMUNITIES), self.random.choice(ZONES)
        self._administer(lambda connection: communities.configure(connection, community, zone, None))

    def _administer(self, do: Callable[[Connection], object]) -> None:
        engine = connect(self.rig.database_url)
        with suppress(ConfigError, Unavailable), transaction(engine) as connection:
            do(connection)
        engine.dispose()


def run(rig: Rig, minutes: float | None, events: int | None) -> bool:
    """Run the storm and judge it; return whether everything holds."""
    storm = Storm(rig)
    if minutes is not None:
        end = time.monotonic() + minutes * 60
        with rig.load(bots=BOTS, rate=RATE):
            storm.blow(lambda: time.monotonic() < end)
    else:
        with rig.load(bots=BOTS, rate=0, sync_every=100, count=-(-(events or 0) // BOTS)) as bots:
            storm.blow(lambda: any(bot.poll() is None for bot in bots))
    kill(storm.beat)
    report = rig.verdict(within=REST_SECONDS)
    for name, times in sorted(storm.faults.items()):
        print(f"{name:<62}{times:>6}")
    print(*table([Row(f"all, SEED={rig.seed}", storm.faults.total(), report, rig.recoveries())]), sep="\n")
    print(report)
    for code in storm.ended:
        print(f"FAIL a worker ended by itself, or did not end when asked to: exit code {code}")
    return not report.broken and not storm.ended


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", required=True)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--events", type=int)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="participation-storm-"))
    with Postgres(folder / "postgres") as postgres, Debuggable(folder / "valkey") as valkey:
        migrate(postgres.url)
        bench = folder / "bench"
        bench.mkdir()
        rig = Rig(Servers(postgres, valkey), postgres.url, bench, arguments.seed)
        try:
            holds = run(rig, arguments.minutes, arguments.events)
        except BaseException:
            print(f"logs and ledgers are in {folder}", file=sys.stderr)
            raise
        finally:
            rig.close()
    if not holds:
        print(f"logs and ledgers are in {folder}", file=sys.stderr)
        sys.exit(1)
    rmtree(folder)


if __name__ == "__main__":
    main()
