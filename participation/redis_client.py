"""Clients of Redis, for everything that does not use Celery's own connections."""

from inspect import signature
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from participation.errors import ConfigError

if TYPE_CHECKING:
    from redis import Redis

MAX_CONNECTIONS: Final = 10_000
"""Maximum number of connections of a client, and so of threads that use it at once. redis-py's default is 100."""

NEARLY_FULL: Final = 0.9
"""Share of Redis' memory limit from which a starting worker makes room, and `doctor` warns."""


def connect_within(url: str, seconds: float) -> "Redis":
    """Return a client whose first command succeeds or fails within this time, including connecting and logging in.

    Raises `ConfigError` if `url` is not a URL of Redis.
    """
    parts = urlsplit(url)
    # Each step may wait: connect, log in, select a database, and get the answer.
    steps = 2 + (parts.password is not None) + (parts.path.strip("/") not in {"", "0"})
    return connect(url, seconds / steps)


def connect(url: str, timeout_seconds: float) -> "Redis":
    """Return a client for the server at `url`. It connects on first use.

    timeout_seconds: longest wait for each answer, and for the connection. A command is sent once and never retried:
    only the caller knows whether a retry is safe. Raises `ConfigError` if `url` is not a URL of Redis.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.connection import AbstractConnection
    from redis.exceptions import RedisError
    from redis.retry import Retry

    # Before 7.2 redis-py has other names for the option that keeps a connection from telling the client's name.
    has_driver_info = "driver_info" in signature(AbstractConnection).parameters
    anonymous: dict[str, Any] = {"driver_info": None} if has_driver_info else {"lib_name": None, "lib_version": None}

    try:
        client = Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            max_connections=MAX_CONNECTIONS,
            # A new connection asks for nothing that we do not need, because each answer may be slow.
            protocol=2,
            **anonymous,
        )
        # Created only to find a wrong option in the URL now, and not at the first connection.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError(f"REDIS_URL: {error}: write it as redis://:password@host:port/0") from error
    return client
