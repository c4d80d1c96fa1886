"""A TCP proxy between a client and a server, in a thread of this process, that can lose what passes through it."""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Self

BYTES = 65_536


class Mode(Enum):
    """What becomes of the bytes. Requests always arrive."""

    PASS = "every answer arrives"
    CUT = "the answer is swallowed and the connection is cut"
    HANG = "the answer is swallowed and the connection stays open"


class Proxy:
    """Listens on a free port. From `lose` on, a request that holds `word` loses its answer, `times` times.

    Given `after`, only on a connection that has sent it since its last BEGIN. lost: how many answers were lost so far.
    """

    def __init__(self, port: int) -> None:
        self.lost = 0
        self._target = port
        self._mode, self._word, self._after, self._left = Mode.PASS, b"", b"", 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._closed = False
        self._sockets: list[socket.socket] = []
        self._run(self._accept)

    def lose(self, mode: Mode, word: bytes, times: int = 1, after: bytes = b"") -> None:
        """Lose the answers to the next requests that hold the word. An empty word is in every request."""
        self._mode, self._word, self._after, self._left = mode, word, after, times

    def close(self) -> None:
        self._closed = True
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._sockets += [client, server]
            self._run(self._carry, client, server)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError), client, server:
            swallowing, said = False, b""
            while not self._closed:
                readable, _, _ = select.select([client, server], [], [])
                for each in readable:
                    data = each.recv(BYTES)
                    if not data:
                        return
                    if each is client:
                        said = data if b"BEGIN" in data else said + data
                        swallowing = swallowing or self._loses(data, said)
                        server.sendall(data)
                    elif not swallowing:
                        client.sendall(data)
                    elif self._mode is Mode.CUT:
                        return

    def _loses(self, data: bytes, said: bytes) -> bool:
        if self._mode is Mode.PASS or not self._left or self._word not in data or self._after not in said:
            return False
        self._left -= 1
        self.lost += 1
        return True
