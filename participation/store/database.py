"""Connections to PostgreSQL: engines, transactions, and the translation of the driver's errors into ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg2
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from participation.errors import ConfigError, Rejected, Unavailable
from participation.settings import Settings

TRANSIENT_CLASSES: Final = ("08", "40", "53", "57", "58")
"""SQLSTATE classes of temporary errors: connection, rollback, resources, operator intervention, system."""

TRANSIENT_CODES: Final = ("25006", "25P03", "25P04", "55P03")
"""Single codes of temporary errors: read-only, a transaction that took too long, lock not available."""

NO_PARTITION: Final = "23514"
"""SQLSTATE of a violated check. Without the name of a constraint, a partition is missing; the retry creates it."""

REJECTED_CLASSES: Final = ("22", "23", "54")
"""SQLSTATE classes of errors in the values of a row: data, constraint, limit exceeded."""

MISSING_CODES: Final = ("42P01", "42703", "3F000")
"""A table, a column or a schema does not exist: the database is not migrated."""

_KEEPALIVE: Final = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Options of libpq that detect a lost server within a minute. In seconds, except the last, in milliseconds."""


def connect(url: str, lock_timeout_seconds: float = 10.0, idle_timeout_seconds: float = 0.0) -> Engine:
    """Return an engine for the database at `url`. It connects on first use.

    lock_timeout_seconds: longest wait for a lock. idle_timeout_seconds: PostgreSQL rolls back a transaction that runs
    no statement for this long; 0 means never. Raises `ConfigError` if `url` is not a URL of PostgreSQL.
    """
    try:
        target = make_url(url).set(drivername="postgresql+psycopg2")
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"DATABASE_URL: {error}: write it as postgresql://user:password@host:port/name") from error
    options = {
        "lock_timeout": int(lock_timeout_seconds * 1000),
        "idle_in_transaction_session_timeout": int(idle_timeout_seconds * 1000),
        "timezone": "UTC",
        # The same for the server's side of the connection. The default is two hours.
        "tcp_keepalives_idle": _KEEPALIVE["keepalives_idle"],
        "tcp_keepalives_interval": _KEEPALIVE["keepalives_interval"],
        "tcp_keepalives_count": _KEEPALIVE["keepalives_count"],
    }
    return create_engine(
        target,
        pool_pre_ping=True,
        hide_parameters=True,  # they contain events, and errors are logged
        connect_args={
            "connect_timeout": 5,
            **_KEEPALIVE,
            "application_name": "participation",
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        },
    )


def worker_engine(settings: Settings) -> Engine:
    """Return the engine of a worker. Raises `ConfigError` without `DATABASE_URL`.

    PostgreSQL ends the transaction of a worker that hangs, so that another one can store its batch.
    """
    return connect(settings.database(), settings.lock_timeout_seconds, 3 * settings.lock_timeout_seconds)


def command_engine(settings: Settings) -> Engine:
    """Return the engine of a command or of a bot that answers members. Raises `ConfigError` without `DATABASE_URL`."""
    return connect(settings.database(), settings.lock_timeout_seconds)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run the block in one transaction, committed at its end.

    Raises `Unavailable` if a retry may help, `Rejected` if the values of a row are wrong, and `ConfigError` for every
    other error of PostgreSQL: a wrong schema or URL, a missing privilege, or an unknown error.
    """
    with translated(), engine.connect() as connection:
        try:
            with connection.begin():
                yield connection
        except (DBAPIError, psycopg2.Error, Unavailable):
            # Otherwise the pool could reuse a connection that does not work, for example to a read-only server.
            connection.invalidate()
            raise


@contextmanager
def translated() -> Iterator[None]:
    """Translate the driver's errors in the block into ours. `transaction` documents them."""
    try:
        yield
    except (DBAPIError, psycopg2.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "pgcode", None)
        text = str(cause).strip().split("\n", 1)[0]
        if code is None:
            raise _without_code(cause, text) from error
        if code.startswith(TRANSIENT_CLASSES) or code in TRANSIENT_CODES or _no_partition(cause, code):
            raise Unavailable(f"PostgreSQL: {text}: try again") from error
        if code.startswith(REJECTED_CLASSES):
            raise Rejected(f"{code}: {text}") from error
        if code in MISSING_CODES:
            raise ConfigError(f"the database is not migrated ({text}): run `participation migrate`") from error
        raise ConfigError(f"PostgreSQL refuses with {code} ({text}): correct the cause") from error


def _without_code(cause: object, text: str) -> Exception:
    """Translate an error of the driver that has no code of PostgreSQL."""
    if "invalid dsn" in text or "invalid connection option" in text:
        return ConfigError(f"DATABASE_URL: {text}: correct it")
    if not isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError):
        return psycopg2.Error(text)
    if "authentication failed" in text or ("FATAL" in text and "does not exist" in text):
        return ConfigError(f"PostgreSQL refuses the connection ({text}): correct DATABASE_URL")
    return Unavailable(f"PostgreSQL: {text}: is it running, and is DATABASE_URL right?")


def _no_partition(cause: object, code: str) -> bool:
    return code == NO_PARTITION and isinstance(cause, psycopg2.Error) and cause.diag.constraint_name is None
