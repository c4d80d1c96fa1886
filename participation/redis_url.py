"""Reads `REDIS_URL` for our own clients and for Celery's connections, so that all parts use the same server."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

SCHEMES: Final = ("redis://", "rediss://")
PORT: Final = 6379

NAME: Final = re.compile("[a-z_]+")

CHECKS: Final = ("required", "none")
"""Whether the certificate of the server is verified."""

FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A server, a user and a database.

    tls: the options of a TLS connection, as redis-py and kombu name them; None without TLS. health_check_seconds: a
    connection that was idle for this long is tried with PING before its next command; 0 means never.
    """

    host: str
    port: int
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    database: int
    tls: Mapping[str, str | bool] | None
    health_check_seconds: int

    @property
    def url(self) -> str:
        """The URL without options. kombu understands it."""
        user, password = (quote(part or "", safe="") for part in (self.username, self.password))
        login = f"{user}:{password}@" if user or password else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'redis' if self.tls is None else 'rediss'}://{login}{host}:{self.port}/{self.database}"

    @property
    def tls_options(self) -> dict[str, str | bool] | Literal[False]:
        """The options of TLS as Celery wants them."""
        return False if self.tls is None else dict(self.tls)


def parse(url: str) -> RedisServer:
    """Read a URL. Raises `ValueError`, which says what it must be like, and repeats no password."""
    if not url.startswith(SCHEMES):
        raise ValueError(f"must begin with {' or '.join(SCHEMES)}")
    if "#" in url:
        raise ValueError("must have %23 instead of #")
    parts, port = _split(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = _database(parts.path, options.pop("db", None))
    seconds = _number("health_check_interval", options.pop("health_check_interval", "0"))
    return RedisServer(
        host=parts.hostname or "localhost",
        port=port,
        username=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        database=database,
        tls=_tls(parts.scheme, options),
        health_check_seconds=seconds,
    )


def check(url: str | None) -> str | None:
    """Return the URL if it can be read. Raises `ValueError` like `parse`."""
    if url is not None:
        parse(url)
    return url


def _split(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Not the value: if the password contains a slash, it is a part of the password.
        raise ValueError("must have a number as its port") from None
    return parts, port or PORT


def _database(path: str, option: str | None) -> int:
    given = [number for number in (path.strip("/") or None, option) if number is not None]
    if not all(number.isdecimal() for number in given):
        raise ValueError("must have a number as its database, for example redis://host:6379/0")
    numbers = {int(number) for number in given}
    if len(numbers) > 1:
        raise ValueError("names two databases, in its path and with db=: keep one of them")
    return numbers.pop() if numbers else 0


def _number(name: str, value: str) -> int:
    if not value.isdecimal():
        raise ValueError(f"{name} must be a whole number of seconds")
    return int(value)


def _check_certificate(value: str) -> str:
    check = value.lower().removeprefix("cert_")  # Celery writes CERT_REQUIRED
    if check not in CHECKS:
        raise ValueError(f"ssl_cert_reqs must be {' or '.join(CHECKS)}")
    return check


def _flag(value: str) -> bool:
    if value.lower() not in FLAGS:
        raise ValueError("ssl_check_hostname must be true or false")
    return FLAGS[value.lower()]


_TLS: Final[Mapping[str, Callable[[str], str | bool]]] = {
    "ssl_cert_reqs": _check_certificate,
    "ssl_check_hostname": _flag,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
}
"""The options of TLS, each with the function that reads it."""

OPTIONS: Final = ("db", "health_check_interval", *_TLS)


def _tls(scheme: str, options: Mapping[str, str]) -> Mapping[str, str | bool] | None:
    unknown = sorted(options.keys() - _TLS.keys())
    if unknown:
        # What does not look like a name may be a part of a password.
        names = ", ".join(name for name in unknown if NAME.fullmatch(name)) or "its name is not a word"
        raise ValueError(f"has an option that is not known ({names}): use only {', '.join(OPTIONS)}")
    if scheme == "redis":
        if options:
            raise ValueError(f"has options of TLS ({', '.join(sorted(options))}): write rediss:// for TLS")
        return None
    given = {name: _TLS[name](value) for name, value in options.items()}
    verify = given.get("ssl_cert_reqs", "required") == "required"
    if not verify and given.get("ssl_check_hostname"):
        raise ValueError("ssl_check_hostname cannot be true if ssl_cert_reqs is none")
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": verify, **given}
