"""Connections to PostgreSQL: engines, transactions, and the translation of the driver's errors into ours."""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from select import POLLIN, POLLOUT, poll
from typing import Any, Final

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, parse_dsn
from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.event import listen
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

POOLER_REFUSAL: Final = "08P01"
"""A pooler such as PgBouncer refuses what the connection asks for. The class 08 is otherwise temporary."""

POOLER: Final = "the pooler in DATABASE_URL, for example PgBouncer, refuses the connection"
POOLER_CURES: Final = {
    "transaction blocks not allowed": "set its pool_mode to transaction or session",
    "unsupported startup parameter": "remove `options` from DATABASE_URL and PGOPTIONS",
}
"""What to do, by a part of PgBouncer's message."""

LOST_CONNECTION: Final = "server closed the connection unexpectedly"
PROBE_SECONDS: Final = 5.0
"""Longest wait for each answer when a server is asked again why it ended a connection."""

NO_PRIVILEGE: Final = "42501"
NO_TABLES_IN: Final = re.compile(r"permission denied for schema (\S+)")
"""Since version 15, PostgreSQL lets only the owner of the database create tables in the schema "public"."""

OPTION: Final = re.compile(r"(?:-c\s*|--)([\w-]+)=((?:\\.|\S)+)")
"""An option of a session, as libpq's `options` has it."""

WRONG_LOGIN: Final = (
    "authentication failed",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "permission denied for database",
    "no such database",
    "no such user",
    "certificate verify failed",
    "server does not support SSL",
    "no password supplied",
)
"""Texts of errors that will come again with the same URL. PostgreSQL sends no code that the driver passes on."""

_DEFAULTS: Final = {
    "connect_timeout": 5,
    "application_name": "participation",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Options of libpq that detect a lost server within a minute. In seconds, except the last, in milliseconds."""

_VARIABLES: Final = {"connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME"}
"""Variables of libpq that take precedence over our defaults, as in any other program."""


def connect(url: str, lock_timeout_seconds: float = 10.0, idle_timeout_seconds: float = 0.0) -> Engine:
    """Return an engine for the database at `url`. It connects on first use.

    lock_timeout_seconds: longest wait for a lock. idle_timeout_seconds: PostgreSQL rolls back a transaction that runs
    no statement for this long; 0 means never. Options in the URL and in libpq's variables take precedence, except for
    the time zone, which is UTC. Raises `ConfigError` if `url` is not a URL of PostgreSQL.
    """
    try:
        target = make_url(url).set(drivername="postgresql+psycopg2")
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"DATABASE_URL: {error}: write it as postgresql://user:password@host:port/name") from error
    options = {
        "lock_timeout": int(lock_timeout_seconds * 1000),
        "idle_in_transaction_session_timeout": int(idle_timeout_seconds * 1000),
        "timezone": "'UTC'",
        # The same for the server's side of the connection. The default is two hours.
        **{f"tcp_{name}": _DEFAULTS[name] for name in _DEFAULTS if name.startswith("keepalives")},
    }
    engine = create_engine(
        target,
        pool_pre_ping=True,
        hide_parameters=True,  # they contain events, and errors are logged
        connect_args=_unless_set(target),
    )
    # In each transaction, and not when connecting: a pooler refuses, ignores or mixes up the options of a session.
    chosen = {**options, **_session_options(target, options.keys() - {"timezone"})}
    statement = "; ".join(f"SET LOCAL {name} = {value}" for name, value in chosen.items())
    listen(engine, "begin", lambda connection: connection.exec_driver_sql(statement))
    return engine


def _session_options(target: URL, names: Collection[str]) -> dict[str, str]:
    """Return the options of these names that the URL sets, or else `PGOPTIONS`, as SQL."""
    given = OPTION.findall(str(target.query.get("options", os.environ.get("PGOPTIONS", ""))))
    plain = {name.replace("-", "_").lower(): re.sub(r"\\(.)", r"\1", value).replace("'", "''") for name, value in given}
    return {name: f"'{value}'" for name, value in plain.items() if name in names}


def _unless_set(target: URL) -> dict[str, Any]:
    """Return our defaults for the options that neither the URL nor the environment has."""
    return {
        name: value
        for name, value in _DEFAULTS.items()
        if name not in target.query and _VARIABLES.get(name, "") not in os.environ
    }


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
    with translated(), _explained(engine), engine.connect() as connection:
        try:
            with connection.begin():
                yield connection
        except (DBAPIError, psycopg2.Error, Unavailable):
            # Otherwise the pool could reuse a connection that does not work, for example to a read-only server.
            connection.invalidate()
            raise


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Replace a lost connection by the refusal of a pooler, if there is one.

    PgBouncer says why before it hangs up, but psycopg2 passes that on from an asynchronous connection only. So this
    begins a transaction on one.
    """
    try:
        yield
    except DBAPIError as error:
        if LOST_CONNECTION in str(error.orig):
            _begin_again(engine)
        raise


def _begin_again(engine: Engine) -> None:
    """Raise the refusal of a pooler. Any other error of this attempt is left to the next transaction."""
    options, parameters = engine.dialect.create_connect_args(engine.url)
    try:
        with closing(psycopg2.connect(*options, **parameters, async_=True)) as probe:
            _wait_for_answer(probe)
            probe.cursor().execute("BEGIN")
            _wait_for_answer(probe)
    except psycopg2.Error as error:
        if _refusal(str(error)):
            raise


def _wait_for_answer(probe: Any) -> None:
    while (state := probe.poll()) != POLL_OK:
        waiting = poll()
        waiting.register(probe, POLLIN if state == POLL_READ else POLLOUT)
        if not waiting.poll(PROBE_SECONDS * 1000):
            raise psycopg2.OperationalError("no answer in time")


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
        if code == POOLER_REFUSAL:
            raise ConfigError(
                _refusal(text) or f"{POOLER} ({text}): correct its configuration, as docs/settings.md says"
            ) from error
        if code.startswith(TRANSIENT_CLASSES) or code in TRANSIENT_CODES or _no_partition(cause, code):
            raise Unavailable(f"PostgreSQL: {text}: try again") from error
        if code.startswith(REJECTED_CLASSES):
            raise Rejected(f"{code}: {text}") from error
        if code in MISSING_CODES:
            raise ConfigError(f"the database is not migrated ({text}): run `participation migrate`") from error
        raise ConfigError(f"PostgreSQL refuses with {code} ({text}): {_cure(code, text, cause)}") from error


def _without_code(cause: object, text: str) -> Exception:
    """Translate an error of the driver that has no code of PostgreSQL: the connection could not be made."""
    if "invalid dsn" in text or "invalid connection option" in text or "invalid URI query parameter" in text:
        return ConfigError(f"DATABASE_URL: {text}: correct it")
    if not isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError):
        return psycopg2.Error(text)
    if refusal := _refusal(text):
        return ConfigError(refusal)
    if any(words in text for words in WRONG_LOGIN) or ("FATAL" in text and "does not exist" in text):
        return ConfigError(f"PostgreSQL refuses the connection ({text}): correct DATABASE_URL")
    if "FATAL" in text:
        return Unavailable(
            f"PostgreSQL refuses the connection for now ({text}): if it lasts, read the log of PostgreSQL"
        )
    return Unavailable(f"PostgreSQL: {text}: is it running, and is DATABASE_URL right?")


def _refusal(text: str) -> str | None:
    """Return what to say if a pooler refuses with this text, or None if it is no refusal of a pooler."""
    cures = (cure for words, cure in POOLER_CURES.items() if words in text)
    return next((f"{POOLER} ({text}): {cure}" for cure in cures), None)


def _cure(code: str, text: str, cause: object) -> str:
    if code != NO_PRIVILEGE:
        return "read the log of PostgreSQL, and correct the cause"
    schema = NO_TABLES_IN.search(text)
    cursor = getattr(cause, "cursor", None)
    if schema is None or cursor is None:
        return "use the role that owns the tables, or grant the rights that `participation doctor` names"
    login = parse_dsn(cursor.connection.dsn)
    role, database = f'"{login.get("user", "ROLE")}"', f'"{login.get("dbname", "DATABASE")}"'
    return (
        f"as a superuser, run `ALTER DATABASE {database} OWNER TO {role}`, "
        f"or in this database `GRANT CREATE ON SCHEMA {schema[1]} TO {role}`"
    )


def _no_partition(cause: object, code: str) -> bool:
    return code == NO_PARTITION and isinstance(cause, psycopg2.Error) and cause.diag.constraint_name is None
