"""A PostgreSQL server for one machine, from a Python wheel. The first start creates one database."""

import os
import shutil
import signal
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal

import psycopg2

from participation import private_files
from participation.errors import ConfigError, Unavailable
from participation.local.processes import kill
from participation.local.server import Server
from participation.local.system_user import LINK, SystemUser, leave, place, programs, user_for

CLUSTER = "cluster"
PASSWORD = "password"  # noqa: S105 - the name of the file
NAME = "participation"
"""The superuser and the database."""

LOCK_FILE = "postmaster.pid"
READY_LINE = 8

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
"""The settings that make a commit survive a crash (fsync, synchronous_commit, full_page_writes) are on by default."""


class Postgres(Server):
    """A PostgreSQL server that answers on 127.0.0.1 only, to one superuser whose password is in the folder.

    For root, it runs as another user: see `system_user`.
    """

    name = "PostgreSQL"
    death_signal = signal.SIGINT

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        self._owner = SystemUser("")
        self._place = self.folder
        self._programs = Path()

    @property
    def url(self) -> str:
        return self._url(NAME)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server and wait until it has ended. `immediate`: the next start recovers as after a crash."""
        if self._process is not None:
            self._end(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
            with suppress(ConfigError), self._lock():  # the next server may already have the lock
                leave(self.folder, CLUSTER, PASSWORD)

    @property
    def _cluster(self) -> Path:
        return self._place / CLUSTER

    def _url(self, database: str) -> str:
        password = (self._place / PASSWORD).read_text()
        return f"postgresql://{NAME}:{password}@127.0.0.1:{self.port}/{database}"

    def _user(self) -> dict[str, Any]:
        return self._owner.popen()

    def _launch(self, lock: int) -> None:
        try:
            self._prepare()
            super()._launch(lock)
            self._create_database()
        except BaseException:
            self._end(signal.SIGQUIT)
            leave(self.folder, CLUSTER, PASSWORD)
            raise

    def _prepare(self) -> None:
        elsewhere = self.folder / LINK / CLUSTER
        self._owner = user_for(elsewhere if elsewhere.exists() else self._cluster)
        self._place = place(self.folder, self._owner, CLUSTER, PASSWORD)
        self._programs = programs(self._place, self._owner)
        if not self._cluster.exists():
            self._create_cluster()
        self._mark_lock_file_stale()

    def _create_cluster(self) -> None:
        unfinished = self._place / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        password = self._place / PASSWORD
        password.unlink(missing_ok=True)
        private_files.password(password)
        unfinished.mkdir(private_files.FOLDER_MODE)
        self._owner.give(password)
        self._owner.give(unfinished)
        self._initdb(unfinished, password)
        unfinished.rename(self._cluster)

    def _initdb(self, cluster: Path, password: Path) -> None:
        begin = self.log.stat().st_size if self.log.exists() else 0
        command: list[str | Path] = [
            self._programs / "initdb",
            *("--pgdata", cluster, "--username", NAME, "--pwfile", password, "--auth", "scram-sha-256"),
            # The builtin provider needs no locales of the machine, which may have only C.
            *(
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--locale-provider",
                "builtin",
                "--builtin-locale",
                "C.UTF-8",
            ),
        ]
        process = self._spawn(command)
        try:
            code = process.wait()
        except BaseException:
            kill(process)
            raise
        if code != 0:
            raise ConfigError(f"initdb could not create {cluster}; {self._said(begin)}")

    def _command(self, port: int) -> list[str | Path]:
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return [self._programs / "postgres", "-D", self._cluster, f"--port={port}", *settings]

    def _is_ready(self) -> bool:
        """Read the lock file of the server, as pg_ctl does: the first line is its process id, the last its state."""
        try:
            lines = (self._cluster / LOCK_FILE).read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) == READY_LINE and lines[0] == str(self.pid) and lines[-1].strip() == "ready"

    def _mark_lock_file_stale(self) -> None:
        """Write our own process id into a lock file that a crash left, so that PostgreSQL starts.

        PostgreSQL takes any process with the id in the file for a running server, also a zombie, or another program
        after the restart of a container. It never takes its parent process for a server. It still checks the shared
        memory that the file names.
        """
        file = self._cluster / LOCK_FILE
        if sys.platform != "linux" or not file.exists():
            return
        holder, _, rest = file.read_text().partition("\n")
        with suppress(OSError):
            if b"postgres" in Path("/proc", holder, "cmdline").read_bytes():
                return
        file.write_text(f"{os.getpid()}\n{rest}")

    def _create_database(self) -> None:
        try:
            with closing(psycopg2.connect(self._url("postgres"), connect_timeout=10)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SELECT FROM pg_database WHERE datname = %s", (NAME,))
                    if cursor.rowcount == 0:
                        cursor.execute(f"CREATE DATABASE {NAME}")
        except psycopg2.Error as error:
            said = str(error).strip()
            raise Unavailable(f"PostgreSQL in {self.folder} refuses the connection: {said}; see {self.log}") from error
