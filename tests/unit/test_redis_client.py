"""Clients of Redis, before they are connected."""

import pytest

from participation import ConfigError, redis_client


@pytest.mark.parametrize(
    ("url", "seconds"),
    [
        ("redis://h", 1.0),
        ("redis://h:6379/0", 1.0),
        ("redis://h:6379/", 1.0),
        ("redis://:p@h", 2 / 3),
        ("redis://h/3", 2 / 3),
        ("redis://u:p@h:6379/3", 0.5),
        ("redis://h?health_check_interval=9", 2 / 3),
        ("rediss://h", 0.5),
    ],
)
def test_connect_within__shares_the_time_out(url: str, seconds: float) -> None:
    """Connecting, logging in, selecting a database and the command itself each get their part of the limit."""
    options = redis_client.connect_within(url, 2.0).connection_pool.connection_kwargs
    assert options["socket_timeout"] == options["socket_connect_timeout"] == pytest.approx(seconds)


@pytest.mark.parametrize("url", ["redis://h/0?nonsense=1", "redis://h:port/0", "http://h"])
def test_connect__what_is_no_url_is_a_config_error(url: str) -> None:
    """A URL that cannot be used is told at once, with how to write it."""
    with pytest.raises(ConfigError, match=r"REDIS_URL: .* docs/settings.md describes it"):
        redis_client.connect(url, 1.0)
