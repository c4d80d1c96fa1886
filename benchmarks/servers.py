"""The test bench: its own PostgreSQL and Valkey, their databases, and the processes that are measured."""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg2
from redis import Redis

from participation.local.postgres import Postgres
from participation.local.processes import kill, spawn, wait_until
from participation.local.valkey import Valkey
from participation.store.database import connect
from participation.store.schema import partitions
from participation.store.schema.migrate import migrate

ROOT: Final = Path(__file__).parents[1]
STOCK: Final = ROOT / "benchmarks" / ".venv-stock" / "bin" / "python"
MONTHS: Final = ("2026-03",)
START_SECONDS: Final = 60.0
SLICE: Final = 500
PACKAGES: Final = (
    *("celery", "kombu", "redis", "hiredis", "psycopg2-binary", "sqlalchemy"),
    *("pydantic", "msgspec", "orjson"),
    *("discord.py", "aiogram", "python-telegram-bot"),
)


class Timed(Postgres):
    """A PostgreSQL that stores the commit time of each transaction, so that each row has one."""

    def _command(self, port: int) -> list[str | Path]:
        return [*super()._command(port), "--track_commit_timestamp=on"]


class Bench:
    """Both servers, with the settings of `participation up` and commit times, and one migrated database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Timed(folder / "postgres")
        self.valkey = Valkey(folder / "valkey")
        self.url = ""

    def start(self) -> None:
        self.postgres.start()
        self.valkey.start()
        self.use("participation")
        # A rewrite of the append-only file during a run would slow down only one contender.
        self.redis.config_set("auto-aof-rewrite-percentage", 0)

    def stop(self) -> None:
        self.valkey.stop()
        self.postgres.stop()

    @property
    def redis(self) -> Redis:
        return Redis.from_url(self.valkey.url)

    def use(self, name: str) -> None:
        """Use the database of this name from now on. Create and migrate it if necessary."""
        self.url = self.postgres.url.rsplit("/", 1)[0] + f"/{name}"
        with closing(psycopg2.connect(self.postgres.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
            if not cursor.rowcount:
                cursor.execute(f"CREATE DATABASE {name}")
        migrate(self.url)
        engine = connect(self.url)
        partitions.ensure(engine, MONTHS)
        engine.dispose()

    def drop(self, name: str) -> None:
        with closing(psycopg2.connect(self.postgres.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def sql(self, statement: str, *values: object, **named: object) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own, with values by position or by name, and return its rows."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(statement, named or values or None)
            return cursor.fetchall() if cursor.description else []

    def flush(self) -> None:
        """Delete everything in Redis and in its append-only file."""
        redis = self.redis
        redis.flushall()
        redis.bgrewriteaof()
        wait_until(lambda: not redis.info("persistence")["aof_rewrite_in_progress"], START_SECONDS)

    def checkpoint(self) -> None:
        """Write the data of the last run to the disk, so that this does not slow down the next one."""
        self.sql("CHECKPOINT")

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PARTICIPATION_")}
        servers = {"DATABASE_URL": self.url, "REDIS_URL": self.valkey.url, "PYTHONPATH": str(ROOT)}
        return {**kept, **servers, "TMPDIR": str(self.folder), **more}

    @contextmanager
    def process(self, command: Sequence[str | Path], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program with the URLs of the servers until the block ends. Its output is written to a log."""
        with (self.folder / "processes.log").open("ab") as log:
            process = spawn(
                command,
                signal.SIGKILL,
                stdout=log,
                stderr=log,
                env=self.environment(**environment),
                cwd=self.folder,
            )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            if not wait_until(lambda: process.poll() is not None, 30):
                kill(process)

    @contextmanager
    def ours(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker with two processes and default settings, and wait until it consumes."""
        with self._worker(sys.executable, "participation.app", "ours") as process:
            yield process

    @contextmanager
    def stock(self, prefetch: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker of `contenders/stock.py` with two processes, and wait until it consumes."""
        with self._worker(STOCK, "benchmarks.contenders.stock", "stock", PREFETCH=str(prefetch)) as process:
            yield process

    @contextmanager
    def _worker(self, python: str | Path, app: str, name: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        # A worker that answers a ping consumes. The log levels are the defaults.
        options = ["--concurrency=2", f"--hostname={name}@bench", "--without-gossip", "--without-mingle"]
        with self.process([python, "-m", "celery", "-A", app, "worker", *options], **environment) as process:
            self.await_(lambda: self._answers(f"{name}@bench"), process)
            yield process

    def _answers(self, name: str) -> bool:
        from celery import Celery

        with Celery(broker=self.valkey.url) as app:
            return bool(app.control.ping(destination=[name], timeout=0.5))

    def await_(
        self, condition: Callable[[], bool], *processes: subprocess.Popen[bytes], seconds: float = START_SECONDS
    ) -> None:
        """Wait until the condition is true. Raise an error if a process ends before, or after this many seconds."""
        if not wait_until(lambda: condition() or any(p.poll() is not None for p in processes), seconds):
            raise TimeoutError(
                f"the condition was not true within {seconds:.0f} s; see {self.folder / 'processes.log'}"
            )
        if any(process.poll() is not None for process in processes):
            raise RuntimeError(f"a process ended: {(self.folder / 'processes.log').read_text()[-3000:]}")

    def fill(self, name: str, elements: Iterable[bytes]) -> int:
        """Put the elements into a list, from which the first one is read first; return how many there are."""
        count, redis, rest = 0, self.redis, iter(elements)
        while chunk := list(islice(rest, SLICE)):
            redis.lpush(name, *chunk)
            count += len(chunk)
        return count


@contextmanager
def running(keep: Path | None = None) -> Iterator[Bench]:
    """Run both servers until the block ends, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="participation-bench-", dir=keep, ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder))
        try:
            bench.start()
            yield bench
        finally:
            bench.stop()


def machine(bench: Bench) -> dict[str, str]:
    """Return the properties of the machine and the versions of the software, by name."""
    memory = psutil.virtual_memory().total / 2**30
    packages = {name: version(name) for name in PACKAGES}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "CPUs": f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}",
        "memory": f"{memory:.0f} GiB",
        "Python": platform.python_version(),
        "PostgreSQL": str(bench.sql("SHOW server_version")[0][0]),
        "Valkey": str(bench.redis.info("server").get("valkey_version", "?")),
        "commit": _commit(),
        **packages,
        "contenders": _stock_versions(),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _stock_versions() -> str:
    names = ["celery", "celery-batches", "kombu", "redis", "hiredis", "psycopg2-binary"]
    code = f"from importlib.metadata import version; print(', '.join(n + ' ' + version(n) for n in {names!r}))"
    return subprocess.run([STOCK, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
