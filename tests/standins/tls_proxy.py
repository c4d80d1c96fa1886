"""TLS in front of a server that has none, as stunnel does it: the Valkey of the wheel is built without TLS.

`tls/` has the certificate of a server named localhost, and that of the authority that signed it. Nobody else trusts it.
"""

import asyncio
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from participation.local.processes import kill, spawn

FILES: Final = Path(__file__).parent / "tls"
AUTHORITY: Final = FILES / "ca.pem"


@contextmanager
def tls_proxy(port: int) -> Iterator[int]:
    """Run a process that accepts TLS on a free port of 127.0.0.1 and passes everything on to `port`; yield its port."""
    command = [sys.executable, "-m", __name__, str(port)]
    process = spawn(command, signal.SIGKILL, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        kill(process)
        process.stdout.close()  # type: ignore[union-attr]


async def _serve(port: int) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(FILES / "server.pem", FILES / "server.key")
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # a client that distrusts us hangs up
    server = await asyncio.start_server(lambda *client: _pass_on(port, *client), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - our parent reads it
    await server.serve_forever()


async def _pass_on(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_copy(reader, to_server), _copy(from_server, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
