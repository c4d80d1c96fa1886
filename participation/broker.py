"""The way to Redis, for all that does not go through Celery."""

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from participation.errors import ConfigError


def connect(url: str, timeout_seconds: float) -> Redis:
    """Return a client for the server at `url`. Nothing is connected before the first use.

    A command is sent once: whoever calls knows what a repeat would mean. Raises `ConfigError` for what is no URL.
    """
    try:
        client = Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        # Made and thrown away: options in the URL that there are not would only be noticed when it is connected.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError(f"REDIS_URL: {error}: write it as redis://:password@host:port/0") from error
    return client
