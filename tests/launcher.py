"""`participation` and programs in Python without their start, which takes longer than most of what they do.

One process imports everything and forks for each program. A launcher, which loads nothing, hands it the arguments, the
folder, the environment and the standard files, and ends with the program's exit code.
"""

import gc
import json
import os
import runpy
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from participation.local.processes import kill, spawn
from tests.worker import eventually

CLIENT: Final = """
import json, os, socket, sys
request = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    answer = server.recv(1)
sys.exit(answer[0] if answer else "the program was not run to its end")
"""

ROOT: Final = Path(__file__).parents[1]

PROGRAMS: Final = ("participation", "run-block")
"""What can be launched: the command line, and a file of Python, with the arguments that follow."""

LOADED: Final = (
    "participation.cli",
    "participation.store.database",
    "participation.tasks",
    "aiogram",
    "participation.bots.aiogram",
    "participation.bots.discord",
    "participation.bots.telegram",
    "discord.ext.commands",
    "telegram.ext",
)
"""What is imported once for all programs: it takes seconds."""


@contextmanager
def launchers(folder: Path) -> Iterator[None]:
    """Put a launcher of each program into the folder; they work until the block ends."""
    with TemporaryDirectory() as short:  # the path of a socket has at most about a hundred characters
        address = f"{short}/socket"
        client = folder / "client.py"
        client.write_text(CLIENT)
        for name in PROGRAMS:
            line = shlex.join([sys.executable, "-IS", str(client), address, name])
            (folder / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
            (folder / name).chmod(0o755)
        server = spawn([sys.executable, "-m", "tests.launcher", address], signal.SIGKILL, cwd=ROOT)
        try:
            eventually(lambda: Path(address).exists() or server.poll() is not None)
            assert server.poll() is None, "the process that launches programs has ended"
            yield
        finally:
            kill(server)


def _serve(address: str) -> None:
    for name in LOADED:
        import_module(name)
    gc.freeze()  # or each program would look through all of that at its end, for longer than it runs
    # Whoever waits for a program is a child of its own, and nobody waits for that.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen()
        Path(f"{address}.new").rename(address)
        while True:
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _attend(connection)
                return
            connection.close()


def _attend(connection: socket.socket) -> None:
    """Run the program that this connection asks for, and answer with its exit code."""
    length, files, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as stream:
        words, folder, environment = json.loads(stream.read(int.from_bytes(length, "big")))
    program = os.fork()
    if program:
        code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        connection.sendall(bytes([code if code >= 0 else 128 - code]))
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _run(words)


def _run(words: list[str]) -> None:
    from participation.cli import main

    sys.argv = words if words[0] == "participation" else words[1:]
    if words[0] == "participation":
        main()
    else:
        runpy.run_path(words[1], run_name="__main__")


if __name__ == "__main__":
    _serve(sys.argv[1])
