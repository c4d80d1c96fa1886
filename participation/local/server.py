"""A server on this machine, with its data and its log in one folder."""

import fcntl
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from participation import private_files
from participation.errors import ConfigError, Unavailable
from participation.local.processes import free_port, kill, spawn, wait_until

START_SECONDS = 120.0
"""Longest wait for a server to start. After a crash, it first reads its log, which can have some gigabytes."""

STOP_SECONDS = 60.0
LOCK_SECONDS = 5.0
PORTS_TRIED = 5


class Server(ABC):
    """A server on 127.0.0.1, with its data and its log in one folder.

    `start` and `stop` may be called again. A restart uses the same port if it is still free.
    """

    name: ClassVar[str]
    death_signal: ClassVar[signal.Signals]

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / f"{self.name.lower()}.log"
        self._given_port = port
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self, port: int) -> list[str | Path]: ...

    @abstractmethod
    def _is_ready(self) -> bool: ...

    def _user(self) -> dict[str, Any]:
        """Return the arguments with which `Popen` changes to the user that runs the server."""
        return {}

    @property
    def port(self) -> int:
        if self._port is None:
            raise Unavailable(f"{self.name} in {self.folder} was not started yet: call start() first")
        return self._port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise Unavailable(f"{self.name} in {self.folder} is not running: call start() first")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the server runs, and before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises `ConfigError` if it cannot start, and `Unavailable` if it takes too long.
        """
        if self._process is not None and self.exit_code is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock() as lock:
            self._launch(lock)

    def stop(self) -> None:
        """Shut the server down and wait until it has ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server, as in a crash, and wait until it has ended."""
        if self._process is not None and self._process.poll() is None:
            kill(self._process)

    def _launch(self, lock: int) -> None:
        if not any(self._serves(port, lock) for port in self._ports()):
            raise ConfigError(f"{self.name} cannot listen on 127.0.0.1:{self.port}: the port is taken; choose another")

    def _end(self, request: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(request)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            kill(self._process)
        self._process = None

    def _ports(self) -> Iterator[int]:
        if self._given_port is not None:
            yield self._given_port
            return
        yield free_port() if self._port is None else self._port
        for _ in range(PORTS_TRIED):
            yield free_port()

    @contextmanager
    def _lock(self) -> Iterator[int]:
        """Lock the folder. The server inherits the lock, and keeps it until its last process has ended."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, private_files.FILE_MODE)
        try:
            if not wait_until(lambda: _locks(lock), LOCK_SECONDS):
                raise ConfigError(f"another {self.name} is running in {self.folder}: stop it, or choose another folder")
            yield lock
        finally:
            os.close(lock)

    def _serves(self, port: int, lock: int) -> bool:
        """Start the server on this port; return False if another program uses it."""
        self._port = port
        begin = self.log.stat().st_size if self.log.exists() else 0
        self._process = self._spawn(self._command(port), pass_fds=(lock,))
        try:
            in_time = wait_until(lambda: self.exit_code is not None or self._is_ready(), START_SECONDS)
        except BaseException:
            self.kill()
            raise
        if self.exit_code is not None:
            return self._explain(begin)
        if not in_time:
            self.kill()
            raise Unavailable(f"{self.name} did not answer within {START_SECONDS:.0f} s; {self._said(begin)}")
        return True

    def _spawn(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        with open(self.log, "ab", opener=private_files.opener) as log:
            return spawn(
                command,
                self.death_signal,
                stdout=log,
                stderr=log,
                cwd="/",
                umask=private_files.UMASK,
                env=_environment(),
                **self._user(),
                **options,
            )

    def _explain(self, begin: int) -> Literal[False]:
        """Return False if the port was taken. Raise an error if the server ended for any other reason."""
        if b"Address already in use" in self.log.read_bytes()[begin:]:
            return False
        raise ConfigError(f"{self.name} did not start; {self._said(begin)}")

    def _said(self, begin: int) -> str:
        lines = self.log.read_bytes()[begin:].decode(errors="replace").splitlines()
        return f"its log {self.log} ends: {' / '.join(lines[-3:]) or '(nothing)'}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _environment() -> dict[str, str]:
    """Return our environment without PostgreSQL's variables, and without a locale that the server may not know."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C"}


def _locks(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
