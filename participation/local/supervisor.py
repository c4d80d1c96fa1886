"""Commands side by side: their output as one log, their end in an order of ours, whatever ends first."""

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
"""Each of them asks to stop."""

HURRY_SECONDS = 2.0
READ_BYTES = 65_536
COLOURS = {"worker": 32, "beat": 33, "flower": 35, "up": 36}
OWN_NAME = "up"
WIDTH = max(map(len, COLOURS))

HURRIED = 2
"""Signals after which nobody is waited for any longer."""


@dataclass(frozen=True)
class Command:
    """What to run. Ready once `sign` is in its output; `stopping` are signals and seconds before a kill."""

    name: str
    arguments: Sequence[str]
    sign: str
    stopping: Sequence[tuple[signal.Signals, float]]


@dataclass
class Child:
    """A command that runs, and the part of its last line that has come so far."""

    command: Command
    process: Popen[bytes]
    ready: bool = False
    rest: bytes = b""


class Supervisor:
    """Runs commands and watches servers until one of them ends or a signal asks to stop.

    As a context manager it takes over the signals of the process, so it belongs into the main thread. Before
    `run` the first signal is a `KeyboardInterrupt`; later ones are counted, and the second hurries the end.
    """

    def __init__(self, out: TextIO) -> None:
        if isinstance(out, TextIOWrapper):
            out.reconfigure(errors="backslashreplace")  # commands may write what the terminal cannot
        self._out = out
        self._coloured = out.isatty() and "NO_COLOR" not in os.environ
        self._children: dict[str, Child] = {}
        self._servers: list[Server] = []
        self._asked = 0
        self._starting = True
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._before: dict[signal.Signals, Any] = {}

    def say(self, text: str) -> None:
        for line in text.splitlines():
            self._write(OWN_NAME, line)

    def watch(self, server: Server) -> None:
        """Treat the end of the server like that of a command."""
        self._give_way()
        self._servers.append(server)

    def start(self, command: Command, environment: Mapping[str, str]) -> None:
        self._give_way()
        process = spawn(
            command.arguments,
            signal.SIGKILL,  # without us nobody would notice that it does not end
            stdout=PIPE,
            stderr=STDOUT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
        )
        child = self._children[command.name] = Child(command, process)
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, child)

    def await_ready(self) -> None:
        """Write the log until all commands are ready, or something has ended."""
        while not self._all_ready() and not self._ended():
            self._give_way()
            self._pump(None)

    def run(self, on_ready: Callable[[], None]) -> int:
        """Write the log until something ends or a signal comes; return 0 for a signal, 1 for an end unasked.

        Calls `on_ready` once when all commands are ready.
        """
        self._starting = False
        waiting = True
        while not self._asked:
            if ended := self._ended():
                self.say(f"{ended}: stopping everything")
                return 1
            if waiting and self._all_ready():
                waiting = False
                on_ready()
            self._pump(None)
        return 0

    def stop(self, name: str) -> None:
        """End a command and whatever it started; nothing happens when it does not run."""
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

    def _give_way(self) -> None:
        # The exception of the signal is lost when it comes while Python runs a destructor.
        if self._asked:
            raise KeyboardInterrupt

    def _await(self, child: Child, seconds: float) -> None:
        begin = time.monotonic()
        while child.process.poll() is None:
            limit = seconds if self._asked < HURRIED else min(seconds, HURRY_SECONDS)
            left = begin + limit - time.monotonic()
            if left <= 0:
                return
            self._pump(left)

    def _all_ready(self) -> bool:
        return all(child.ready for child in self._children.values())

    def _ended(self) -> str | None:
        """Say which command or server has ended, and how."""
        for child in self._children.values():
            if (code := child.process.poll()) is not None:
                while self._read(child):
                    pass
                return f"{child.command.name} ended with {_describe(code)}"
        for server in self._servers:
            if (code := server.exit_code) is not None:
                return f"{server.name} ended with {_describe(code)}, see {server.log}"
        return None

    def _pump(self, seconds: float | None) -> None:
        """Wait for output, a signal or the end of a command, and write what has come."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Child):
                self._read(key.data)
            else:
                with suppress(BlockingIOError):
                    self._wake.recv(READ_BYTES)

    def _read(self, child: Child) -> bool:
        """Pass on some of what is there, so that nobody talks the others down; return False if nothing is."""
        output = child.process.stdout
        if output is None or output.closed:
            return False
        try:
            data = os.read(output.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close(child)
        self._pass_on(child, data)
        return bool(data)

    def _pass_on(self, child: Child, data: bytes) -> None:
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
            self._pass_on(child, b"\n")

    def _write(self, name: str, line: str) -> None:
        label = f"{name:<{WIDTH}} |"
        if self._coloured:
            label = f"\x1b[{COLOURS.get(name, 0)}m{label}\x1b[0m"
        try:
            self._out.write(f"{label} {line}\n")
            self._out.flush()
        except OSError:
            # Whoever read the log is gone, and nobody will press Ctrl-C.
            self._asked = max(self._asked, 1)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked += 1
        if self._starting:
            self._starting = False
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        # A signal ends a wait by the byte that Python writes into this socket.
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in SIGNALS:
            # Under nohup the end of the terminal is no reason to stop.
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
