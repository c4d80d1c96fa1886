"""Runs several commands at once, writes their output as one log, and stops all of them when one ends."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from subprocess import PIPE, STDOUT, Popen
from types import FrameType
from typing import Any, Self, TextIO

from participation.local.processes import kill, spawn
from participation.local.server import Server

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Each of these signals stops everything."""

HURRY_SECONDS = 2.0
READ_BYTES = 65_536
COLOURS = {"worker": 32, "beat": 33, "flower": 35, "up": 36}
OWN_NAME = "up"
WIDTH = max(map(len, COLOURS))

HURRIED = 2
"""Number of signals after which each command gets only `HURRY_SECONDS` to end."""


@dataclass(frozen=True)
class Command:
    """A command to run.

    sign: text in its output that shows that it is ready. stopping: the signals that stop it, each with the seconds to
    wait before the next one. After the last one, it is killed.
    """

    name: str
    arguments: Sequence[str]
    sign: str
    stopping: Sequence[tuple[signal.Signals, float]]


@dataclass
class Child:
    """A running command. rest: the beginning of a line whose end has not arrived yet."""

    command: Command
    process: Popen[bytes]
    ready: bool = False
    rest: bytes = b""


class Supervisor:
    """Runs commands and watches servers until one of them ends or a signal asks to stop.

    As a context manager, it handles the signals of the process, so it must be used in the main thread. Before `run`,
    the first signal raises `KeyboardInterrupt`. After the second signal, commands get only `HURRY_SECONDS` to end.
    """

    def __init__(self, out: TextIO) -> None:
        if isinstance(out, TextIOWrapper):
            out.reconfigure(errors="backslashreplace")  # commands may write characters that the terminal cannot
        self._out = out
        self._coloured = out.isatty() and "NO_COLOR" not in os.environ
        self._children: dict[str, Child] = {}
        self._servers: list[Server] = []
        self._signal_count = 0
        self._starting = True
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._before: dict[signal.Signals, Any] = {}

    def say(self, text: str) -> None:
        """Write our own lines into the log."""
        for line in text.splitlines():
            self._write(OWN_NAME, line)

    def watch(self, server: Server) -> None:
        """Stop everything if the server ends, as if it were a command."""
        self._raise_if_interrupted()
        self._servers.append(server)

    def start(self, command: Command, environment: Mapping[str, str]) -> None:
        """Start a command and add its output to the log."""
        self._raise_if_interrupted()
        process = spawn(
            command.arguments,
            signal.SIGKILL,  # without us, no other program would kill a command that does not end
            stdout=PIPE,
            stderr=STDOUT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
        )
        child = self._children[command.name] = Child(command, process)
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, child)

    def await_ready(self) -> None:
        """Write the log until all commands are ready, or a command or server has ended."""
        while not self._all_ready() and not self._ended():
            self._raise_if_interrupted()
            self._wait(None)

    def run(self, on_ready: Callable[[], None]) -> int:
        """Write the log until a signal arrives (return 0), or a command or server ends by itself (return 1).

        Calls `on_ready` once when all commands are ready.
        """
        self._starting = False
        waiting = True
        while not self._signal_count:
            if ended := self._ended():
                self.say(f"{ended}: stopping everything")
                return 1
            if waiting and self._all_ready():
                waiting = False
                on_ready()
            self._wait(None)
        return 0

    def stop(self, name: str) -> None:
        """Stop a command and the processes that it started. Do nothing if it is not running."""
        child = self._children.pop(name, None)
        if child is None:
            return
        for request, seconds in child.command.stopping:
            if child.process.poll() is None:
                self.say(f"stopping {name} ({request.name})")
                child.process.send_signal(request)
                self._await(child, seconds)
        kill(child.process)
        while self._read(child):
            pass
        self._close(child)

    def _raise_if_interrupted(self) -> None:
        # Python loses the exception of a signal that arrives while a destructor runs.
        if self._signal_count:
            raise KeyboardInterrupt

    def _await(self, child: Child, seconds: float) -> None:
        begin = time.monotonic()
        while child.process.poll() is None:
            limit = seconds if self._signal_count < HURRIED else min(seconds, HURRY_SECONDS)
            left = begin + limit - time.monotonic()
            if left <= 0:
                return
            self._wait(left)

    def _all_ready(self) -> bool:
        return all(child.ready for child in self._children.values())

    def _ended(self) -> str | None:
        """Return a text that says which command or server has ended, and how, or None."""
        for child in self._children.values():
            if (code := child.process.poll()) is not None:
                while self._read(child):
                    pass
                return f"{child.command.name} ended with {_describe(code)}"
        for server in self._servers:
            if (code := server.exit_code) is not None:
                return f"{server.name} ended with {_describe(code)}, see {server.log}"
        return None

    def _wait(self, seconds: float | None) -> None:
        """Wait for output, a signal or the end of a command, and write the output."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Child):
                self._read(key.data)
            else:
                with suppress(BlockingIOError):
                    self._wake.recv(READ_BYTES)

    def _read(self, child: Child) -> bool:
        """Write a limited part of the output, so that the others are not delayed; return False if there is none."""
        output = child.process.stdout
        if output is None or output.closed:
            return False
        try:
            data = os.read(output.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close(child)
        self._write_lines(child, data)
        return bool(data)

    def _write_lines(self, child: Child, data: bytes) -> None:
        *lines, child.rest = (child.rest + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            child.ready = child.ready or child.command.sign in text
            self._write(child.command.name, text)

    def _close(self, child: Child) -> None:
        output = child.process.stdout
        if output is None or output.closed:
            return
        self._selector.unregister(output)
        output.close()
        if child.rest:
            self._write_lines(child, b"\n")

    def _write(self, name: str, line: str) -> None:
        label = f"{name:<{WIDTH}} |"
        if self._coloured:
            label = f"\x1b[{COLOURS.get(name, 0)}m{label}\x1b[0m"
        try:
            self._out.write(f"{label} {line}\n")
            self._out.flush()
        except OSError:
            # The reader of the log has ended, so nobody will press Ctrl-C: stop.
            self._signal_count = max(self._signal_count, 1)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signal_count += 1
        if self._starting:
            self._starting = False
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        # Python writes a byte into this socket for each signal, which ends a wait.
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in SIGNALS:
            # Under nohup, everything keeps running when the terminal ends.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._selector.close()
        self._wake.close()
        self._woken.close()


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
