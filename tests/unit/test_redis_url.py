"""`REDIS_URL`: one reading for our own clients and for Celery."""

from typing import Any

import pytest
from kombu import Connection

from participation import ConfigError, redis_client, redis_url
from participation.redis_url import RedisServer

PLAIN = {"host": "h", "port": 6379, "username": None, "password": None, "database": 0, "tls": None}
VERIFIED = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


@pytest.mark.parametrize(
    ("url", "differs"),
    [
        ("redis://h", {}),
        ("redis://h:6379/", {}),
        ("redis://h/3", {"database": 3}),
        ("redis://h/3/", {"database": 3}),
        ("redis://h/?db=3", {"database": 3}),
        ("redis://h/3?db=3", {"database": 3}),
        ("redis://", {"host": "localhost"}),
        ("redis://[::1]:7/0", {"host": "::1", "port": 7}),
        ("redis://:p%40%2Fw@h", {"password": "p@/w"}),
        ("redis://bot:p@h", {"username": "bot", "password": "p"}),
        ("redis://h?health_check_interval=30", {"health_check_seconds": 30}),
        ("rediss://h", {"tls": VERIFIED}),
        (
            "rediss://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=no",
            {"tls": {**VERIFIED, "ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}},
        ),
        ("rediss://h?ssl_cert_reqs=none", {"tls": {"ssl_cert_reqs": "none", "ssl_check_hostname": False}}),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", {"tls": VERIFIED}),
    ],
)
def test_parse__reads_every_part(url: str, differs: dict[str, Any]) -> None:
    """What is not in the URL has its default; a certificate is verified unless the URL says otherwise."""
    assert redis_url.parse(url) == RedisServer(**{**PLAIN, "health_check_seconds": 0, **differs})


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("redis://h/first", "must have a number as its database"),
        ("redis://h/?db=", "must have a number as its database"),
        ("redis://h/1?db=2", "names two databases"),
        ("redis://h?health_check_interval=often", "health_check_interval must be a whole number of seconds"),
        ("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=true", "ssl_check_hostname cannot be true"),
        ("redis://:12#x@h:6379/1", "must have %23 instead of #"),
        ("redis://:9?secret@h:6379/0", r"has an option that is not known \(its name is not a word\)"),
        ("redis://h?socket_timeout=60", r"has an option that is not known \(socket_timeout\): use only db, "),
        ("redis://h?decode_responses=yes", r"has an option that is not known \(decode_responses\)"),
        ("redis://h?ssl_cert_reqs=none", r"has options of TLS \(ssl_cert_reqs\): write rediss:// for TLS"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs must be required or none"),
        ("rediss://h?ssl_check_hostname=maybe", "ssl_check_hostname must be true or false"),
    ],
)
def test_parse__refuses_what_one_part_would_read_differently(url: str, rule: str) -> None:
    """An option that only some clients know is refused by name, in the settings of every process."""
    with pytest.raises(ValueError, match=rule):
        redis_url.parse(url)
    with pytest.raises(ConfigError, match=f"^REDIS_URL: {rule}"):
        redis_client.connect(url, 1.0)


@pytest.mark.parametrize("url", ["redis://h:7/3", "rediss://bot:p%40%2F%3A@[::1]:7/0", "redis://:p%25@h:7/0"])
def test_url__is_read_in_the_same_way_by_kombu(url: str) -> None:
    """Celery's half connects to the same place with the same login."""
    server = redis_url.parse(url)
    found = Connection(server.url)
    assert (found.hostname, found.port, found.virtual_host) == (server.host, server.port, str(server.database))
    assert (found.userid or None, found.password or None) == (server.username, server.password)


def test_repr__hides_the_login() -> None:
    """A traceback with the server in it shows no password."""
    assert "s3cret" not in repr(redis_url.parse("redis://bot:s3cret@h"))
