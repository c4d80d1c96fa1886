"""Clients of Redis, for everything that does not use Celery's own connections."""

from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from participation import redis_url
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
    server = parse(url)
    # Each step may wait: connect, log in, select a database, check the connection, tell the client's name and version,
    # and get the answer.
    steps = 2 + (server.password is not None) + (server.database != 0) + (server.health_check_seconds > 0)
    steps += 2 * (server.tls is not None)
    return connect(url, seconds / steps)


def connect(url: str, timeout_seconds: float) -> "Redis":
    """Return a client for the server at `url`. It connects on first use.

    timeout_seconds: longest wait for each answer, and for the connection. A command is sent once and never retried:
    only the caller knows whether a retry is safe. Raises `ConfigError` if `url` is not a URL of Redis.
    """
    from redis import ConnectionPool, Redis
    from redis.backoff import NoBackoff
    from redis.connection import AbstractConnection, Connection, SSLConnection
    from redis.retry import Retry

    server = parse(url)
    # Before 7.2 redis-py has other names for the option that keeps a connection from telling the client's name.
    has_driver_info = "driver_info" in signature(AbstractConnection).parameters
    anonymous: dict[str, Any] = {"driver_info": None} if has_driver_info else {"lib_name": None, "lib_version": None}
    # With TLS 1.3 the server sends tickets at once. redis-py with hiredis takes them for an answer that nobody asked
    # for, and refuses the connection, unless it has read an answer to a command of its own.
    extra: dict[str, Any] = anonymous if server.tls is None else dict(server.tls)
    pool = ConnectionPool(
        connection_class=Connection if server.tls is None else SSLConnection,
        max_connections=MAX_CONNECTIONS,
        host=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        db=server.database,
        health_check_interval=server.health_check_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        # A new connection asks for nothing that we do not need, because each answer may be slow.
        protocol=2,
        **extra,
    )
    return Redis.from_pool(pool)


def parse(url: str) -> redis_url.RedisServer:
    """Read a URL of Redis. Raises `ConfigError`."""
    try:
        return redis_url.parse(url)
    except ValueError as error:
        raise ConfigError(f"REDIS_URL: {error}; docs/settings.md describes it") from error
