"""The test bench: servers of its own, workers and bots as processes, faults, and the checker at the end."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg2
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from participation import keys
from participation.local.postgres import Postgres
from participation.local.processes import kill, spawn
from participation.local.valkey import Valkey
from tests import failpoints
from tests.faults.checker import check
from tests.faults.producer import AGAIN
from tests.faults.report import Report
from tests.worker import SECONDS, celery, eventually

SWEEP_SECONDS = 2
RATE = 300.0
"""Events a second of each bot that runs through a fault of the matrix."""

RECOVERY_SECONDS = SECONDS
"""Within which everything must be back to rest after a fault, without a hand (I7)."""

COMPUTE = """
import sys
from datetime import date
from participation.cli.app import app

compute = ["highlights", "compute"]
app(compute, standalone_mode=False)
for community in sys.argv[1:]:
    dates = ["--from", "2025-01-01", "--to", date.today().isoformat()]
    app([*compute, "--community", community, *dates], standalone_mode=False)
"""
"""Computes what is due, and then everything again."""


class Debuggable(Valkey):
    """A Valkey that also takes DEBUG commands."""

    def _command(self, port: int) -> list[str | Path]:
        return [*super()._command(port), "--enable-debug-command", "local"]


@dataclass
class Servers:
    """The PostgreSQL and the Valkey that are killed, and started again on the same folders and ports."""

    postgres: Postgres
    valkey: Valkey

    def start(self) -> None:
        self.postgres.start()
        self.valkey.start()


def administer(servers: Servers, statement: str) -> None:
    """Run a statement in the database of the administrator, where databases and tablespaces are made."""
    connection = psycopg2.connect(servers.postgres.url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


@dataclass
class Row:
    """What is reported of one row of the matrix."""

    name: str
    faults: int
    report: Report
    recoveries: list[float]

    @property
    def recovery_seconds(self) -> float:
        return median(self.recoveries) if self.recoveries else 0.0


@dataclass
class Rig:
    """One test's bench: a database of its own, an empty Redis, and what runs on them.

    log: what the workers said. ledgers: what the bots were told.
    """

    servers: Servers
    database_url: str
    folder: Path
    seed: str
    faults: int = 0
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    bots: list[subprocess.Popen[bytes]] = field(default_factory=list)
    fault_ends: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = self.folder / "worker.log"
        self.log.touch()
        self.ledgers = self.folder / "ledgers"
        self.ledgers.mkdir()
        self.marker = self.folder / "marker"
        self.random = random.Random(self.seed)
        self._since = 0

    @property
    def name(self) -> str:
        return self.database_url.rsplit("/", 1)[-1]

    @property
    def redis_url(self) -> str:
        return self.servers.valkey.url

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "PARTICIPATION_SWEEP_AFTER_SECONDS": str(SWEEP_SECONDS),
            "PARTICIPATION_LOCK_TIMEOUT_SECONDS": "2",
            # The default, which the tests of a silent Redis judge; the other tests wait for longer.
            "PARTICIPATION_PUBLISH_TIMEOUT_SECONDS": "2",
            # Also where kombu puts what a dying connection had in hand.
            "TMPDIR": str(self.folder),
            **more,
        }

    # Workers

    def worker(self, *arguments: str, app: str | None = None, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker with two processes and wait until it is ready."""
        name = f"--hostname=w{len(self.workers)}@rig"
        command = celery("worker", "--concurrency=2", "--loglevel=INFO", name, *arguments)
        if app is not None:
            command[command.index("-A") + 1] = app
        with self.log.open("ab") as output:
            begin = output.tell()
            process = spawn(command, signal.SIGKILL, stdout=output, stderr=output, env=self.environment(**environment))
        self.workers.append(process)
        eventually(lambda: b" ready." in self.log.read_bytes()[begin:] or process.poll() is not None)
        assert process.poll() is None, self.log.read_text()
        return process

    def beat(self, **environment: str) -> subprocess.Popen[bytes]:
        schedule = f"--schedule={self.folder / 'schedule'}"
        with (self.folder / "beat.log").open("ab") as output:
            command = celery("beat", "--loglevel=INFO", schedule, "--pidfile=")
            process = spawn(command, signal.SIGKILL, stdout=output, stderr=output, env=self.environment(**environment))
        self.workers.append(process)
        return process

    def stopping_worker(self, point: str, app: str | None = None, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of which the first process that comes to the failpoint stops there."""
        environment[failpoints.VARIABLE] = f"{point}={self.marker}"
        return self.worker("--include=tests.failpoints", app=app, **environment)

    def stopped_process(self) -> int:
        """Wait until a process stands at the failpoint and return its id."""
        eventually(lambda: self.marker.exists() and self.marker.read_text().endswith("\n"))
        return int(self.marker.read_text())

    def said(self, text: str) -> bool:
        """Whether a worker has said it since the last fault began."""
        with self.log.open("rb") as log:
            log.seek(self._since)
            return text.encode() in log.read()

    # Load

    @contextmanager
    def load(
        self,
        *,
        bots: int = 1,
        rate: float = RATE,
        poison: float = 0.01,
        redis_url: str = "",
        same: bool = False,
        again: float = AGAIN,
        count: int = -1,
        sync_every: int = 1,
    ) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Have bots send events, so many each or without end, until the block ends.

        rate: events a second of each, 0 for as many as it can. same: all of them send the same events. again: share
        of events that are sent twice although the first time went well.
        """
        streams = ["bot0" if same else f"bot{number}" for number in range(bots)]
        options = ["--rate", str(rate), "--poison", str(0 if same else poison)]
        options += ["--again", str(again), "--count", str(count), "--sync-every", str(sync_every)]
        started = [
            self._bot(f"bot{number}", ["--stream", stream, *options], redis_url or self.redis_url)
            for number, stream in enumerate(streams)
        ]
        eventually(lambda: all((self.ledgers / f"bot{number}.accepted").exists() for number in range(bots)))
        eventually(lambda: self.accepted() > 0)
        try:
            yield started
        finally:
            for bot in started:
                bot.terminate()
            codes = [bot.wait(SECONDS) for bot in started]
        assert not any(codes), (self.folder / "bots.log").read_text()

    def note(self, line: dict[str, Any]) -> None:
        """Write into a ledger what the test itself has sent."""
        with (self.ledgers / "test.accepted").open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(line) + "\n")

    def _bot(self, name: str, options: list[str], redis_url: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.producer", "--name", name, "--seed", self.seed]
        command += ["--ledgers", str(self.ledgers), *options]
        with (self.folder / "bots.log").open("ab") as output:
            bot = spawn(
                command, signal.SIGKILL, stdout=output, stderr=output, env=self.environment(REDIS_URL=redis_url)
            )
        self.bots.append(bot)
        return bot

    def accepted(self) -> int:
        return sum(file.read_bytes().count(b"\n") for file in self.ledgers.glob("*.accepted"))

    def more(self, events: int) -> None:
        """Wait until the bots have been told of so many more events that they are accepted."""
        goal = self.accepted() + events
        while (now := self.accepted()) < goal:
            # Each event is synced twice, which takes what it takes: only that none gets through is wrong.
            eventually(lambda: self.accepted() > now)

    def seen(self, name: str) -> float:
        """Sum what the bots that ended have counted under this name; of `longest_seconds` the largest."""
        values = [json.loads(file.read_text())[name] for file in self.ledgers.glob("*.json")]
        return float(max(values) if name == "longest_seconds" else sum(values))

    # Faults

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Count a fault; recovery is measured from the end of the block."""
        self.faults += 1
        self._since = self.log.stat().st_size
        yield
        self.fault_ends.append(time.time())

    def children(self, worker: subprocess.Popen[bytes]) -> list[int]:
        with suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(worker.pid).children()]
        return []

    def redis(self) -> Redis:
        return Redis.from_url(self.redis_url, socket_timeout=10, retry=Retry(NoBackoff(), 0))

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run a statement by itself, as an administrator would, and return its rows."""
        connection = psycopg2.connect(self.database_url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def open_batches(self) -> set[bytes]:
        with self.redis() as redis:
            return set(redis.zrange(keys.BATCHES, 0, -1))

    def terminate_sessions(self) -> None:
        self.sql("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
        """)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Have PostgreSQL refuse every write (25006) until the block ends."""
        self._set_read_only("on")
        try:
            yield
        finally:
            self._set_read_only("off")

    def _set_read_only(self, value: str) -> None:
        self.sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        self.sql("SELECT pg_reload_conf()")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Have Redis refuse every write until the block ends."""
        self._limit(1)
        try:
            yield
        finally:
            self._limit(0)

    def _limit(self, memory: int) -> None:
        with self.redis() as redis:
            redis.config_set("maxmemory", memory)

    def is_drained(self) -> bool:
        with self.redis() as redis:
            return not redis.exists(keys.EVENTS) and not redis.zcard(keys.BATCHES)

    def cut_connections(self) -> None:
        """Cut every connection to Redis but the one that asks for it."""
        with self.redis() as redis:
            for kind in ("normal", "pubsub"):
                redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def shut_redis_down(self) -> None:
        with self.redis() as redis:
            redis.shutdown(nosave=True)
        eventually(lambda: self.servers.valkey.exit_code is not None)

    def session(self) -> Any:
        """Open a session that holds what it locks until it ends."""
        return psycopg2.connect(self.database_url)

    def waiting_for_locks(self) -> int:
        ((number,),) = self.sql("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(str(number))

    def count(self, table: str) -> int:
        ((number,),) = self.sql(f"SELECT count(*) FROM {table}")
        return int(str(number))

    # The end

    def verdict(self, *, within: float = RECOVERY_SECONDS, compute: bool = True) -> Report:
        """Run the checker, which trusts nothing of ours."""
        communities = [str(community) for (community,) in self.sql("SELECT community_id FROM communities")]
        environment = ["env", f"DATABASE_URL={self.database_url}"]
        command = [*environment, sys.executable, "-c", COMPUTE, *communities] if compute else []
        return check(self.ledgers, self.database_url, self.redis_url, within=within, compute=command)

    def recoveries(self) -> list[float]:
        """For each fault the seconds from its end until all that was sent before is stored."""
        query = """
            SELECT coalesce(max(extract(epoch FROM received_at)), 0) FROM participation_events
            WHERE (metadata ->> 'sent_at')::float8 < %s
        """
        return [max(0.0, float(str(self.sql(query, end)[0][0])) - end) for end in self.fault_ends]

    def close(self) -> None:
        for process in (*self.bots, *self.workers):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGCONT)
            kill(process)
        self.servers.start()


def tear(folder: Path) -> None:
    """Leave half of a command at the end of Valkey's append-only file, as a crash of the machine can."""
    with newest_file(folder).open("ab") as file:
        file.write(b"*3\r\n$5\r\nLPUSH\r\n$20\r\nparticipation.ev")


def newest_file(folder: Path) -> Path:
    """Find the file to which Valkey appends."""
    return max(folder.glob("appendonlydir/*.incr.aof"), key=lambda file: int(file.name.split(".")[-3]))


def answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


def table(rows: Sequence[Row]) -> list[str]:
    """Write the rows as lines for people."""
    lines = [
        f"{'fault':<62}{'times':>6}{'accepted':>10}{'stored':>9}{'dead':>7}{'lost':>6}{'double':>8}{'recovery':>10}"
    ]
    for row in rows:
        r = row.report
        lines.append(
            f"{row.name:<62}{row.faults:>6}{r.accepted:>10,}{r.stored:>9,}{r.dead:>7,}{r.lost:>6}{r.double:>8}"
            f"{row.recovery_seconds:>8.1f} s"
        )
    return lines
