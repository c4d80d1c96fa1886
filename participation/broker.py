"""The way to Redis, for all that does not go through Celery."""

from typing import Final
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from participation.errors import ConfigError

MAX_CONNECTIONS: Final = 10_000
"""Of one client: as many threads may wait for an answer at once. By default the 101st would be refused."""


def connect_within(url: str, seconds: float) -> Redis:
    """Return a client that has sent a command and has its answer, or has failed, within so many seconds.

    Raises `ConfigError` for what is no URL.
    """
    parts = urlsplit(url)
    # To connect and to answer, and before that to log in and to select a database.
    steps = 2 + (parts.password is not None) + (parts.path.strip("/") not in {"", "0"})
    return connect(url, seconds / steps)


def connect(url: str, timeout_seconds: float) -> Redis:
    """Return a client for the server at `url`. Nothing is connected before the first use.

    timeout_seconds: longest wait for each answer, and for the connection. A command is sent once: whoever calls knows
    what a repeat would mean. Raises `ConfigError` for what is no URL.
    """
    try:
        client = Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            max_connections=MAX_CONNECTIONS,
            # Nothing is asked at the start of a connection that we do not need: each answer may be slow.
            protocol=2,
            driver_info=None,
        )
        # Made and thrown away: options in the URL that there are not would only be noticed when it is connected.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError(f"REDIS_URL: {error}: write it as redis://:password@host:port/0") from error
    return client
