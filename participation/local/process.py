"""Processes of ours: each ends when we end, and a Ctrl-C in the terminal reaches nobody but us."""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from participation.errors import ConfigError, Unavailable

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""

START_SECONDS = 120.0
"""Longest wait for a server: after a crash it first reads its log again, up to some gigabytes."""

STOP_SECONDS = 60.0
LOCK_SECONDS = 5.0
POLL_SECONDS = 0.02
PORTS_TRIED = 5


def free_port(*preferred: int) -> int:
    """Return the first preferred port on 127.0.0.1 that is free, else any. It may be taken a moment later."""
    for port in (*preferred, 0):
        with socket.socket() as listener, suppress(OSError):
            # As the servers do: connections that linger in TIME_WAIT do not make a port taken.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    raise Unavailable("no port is free on 127.0.0.1: end some of the programs that hold connections open")


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask until the condition holds or the time is over; return whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def spawn(command: Sequence[str | Path], death_signal: int, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own.

    On Linux it gets `death_signal` when the thread that called ends, so call from one that lasts.
    """
    return subprocess.Popen(  # noqa: S603 - the commands are ours
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_bound_to_us(death_signal),  # noqa: PLW1509 - two system calls, prepared before the fork
        **options,
    )


def _bound_to_us(death_signal: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it ended before it could be bound to
            os._exit(1)

    return bind


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and what is left of its group at once, and wait for it."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Server(ABC):
    """A server on 127.0.0.1 that keeps its data and its log in one folder.

    `start` and `stop` may be repeated. A port that was found is kept over a restart if it is still free.
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

    def _account(self) -> dict[str, Any]:
        """Return how `Popen` changes to the account that runs the server."""
        return {}

    @property
    def port(self) -> int:
        if self._port is None:
            raise Unavailable(f"{self.name} on {self.folder} was not started yet: call start() first")
        return self._port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise Unavailable(f"{self.name} on {self.folder} does not run: call start() first")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the server runs, and before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises `ConfigError` when it cannot start, `Unavailable` when it takes too long.
        """
        if self._process is not None and self.exit_code is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock() as lock:
            self._launch(lock)

    def stop(self) -> None:
        """Stop the server in order and wait for its end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server as a crash would and wait for its end."""
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
        """Hold the folder. The server inherits the lock and holds it until its last process has ended."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not wait_until(lambda: _locks(lock), LOCK_SECONDS):
                raise ConfigError(f"another {self.name} runs on {self.folder}: stop it, or choose another folder")
            yield lock
        finally:
            os.close(lock)

    def _serves(self, port: int, lock: int) -> bool:
        """Start the server on this port; return False when another program has taken it."""
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
            raise Unavailable(f"{self.name} did not answer in {START_SECONDS:.0f} s; {self._said(begin)}")
        return True

    def _spawn(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        with open(self.log, "ab", opener=_private) as log:
            return spawn(
                command,
                self.death_signal,
                stdout=log,
                stderr=log,
                cwd="/",
                umask=0o077,
                env=_environment(),
                **self._account(),
                **options,
            )

    def _explain(self, begin: int) -> Literal[False]:
        """Return False if the port was taken, raise if the server ended for any other reason."""
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
    """Return our environment without PostgreSQL's own variables and without a language it may not know."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C"}


def _locks(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
