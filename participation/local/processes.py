"""Starts processes that end when we end. Only we receive a Ctrl-C in the terminal, they do not."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from participation.errors import Unavailable

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""

POLL_SECONDS = 0.02


def free_port(*preferred: int) -> int:
    """Return the first preferred port on 127.0.0.1 that is free, else any free port. It may be taken a moment later."""
    for port in (*preferred, 0):
        with socket.socket() as listener, suppress(OSError):
            # As the servers do: a port with a connection in TIME_WAIT is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    raise Unavailable("no port is free on 127.0.0.1: end some of the programs that hold connections open")


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Check the condition until it is true or the time is over; return whether it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def spawn(command: Sequence[str | Path], death_signal: int, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own.

    On Linux, it gets `death_signal` when the calling thread ends. So call this from a thread that runs long enough.
    """
    return subprocess.Popen(  # noqa: S603 - the commands are ours
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_parent(death_signal),  # noqa: PLW1509 - two system calls, prepared before the fork
        **options,
    )


def _end_with_parent(death_signal: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before this call
            os._exit(1)

    return bind


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all others in its group, and wait until it has ended."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
