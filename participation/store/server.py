"""Reads the settings and the state of PostgreSQL, for `participation doctor`. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

SETTINGS: Final = (
    "server_version",
    "server_version_num",
    "server_encoding",
    "fsync",
    "synchronous_commit",
    "synchronous_standby_names",
    "full_page_writes",
    "data_checksums",
    "transaction_read_only",
    "default_transaction_read_only",
    "max_connections",
)

_SELECT_SETTINGS = text("SELECT name, setting, source FROM pg_settings WHERE name = ANY (:names)")

_SELECT_SERVER = text("""
SELECT
    pg_is_in_recovery() AS in_recovery,
    (SELECT sum(numbackends) FROM pg_stat_database) AS connections,
    quote_ident(current_user) AS role,
    quote_ident(current_database()) AS database
""")

_SELECT_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())")

_SET_STATEMENT_TIMEOUT = text("SELECT set_config('statement_timeout', :milliseconds, true)")


@dataclass(frozen=True, slots=True)
class Server:
    """The server as our own sessions see it.

    settings: the values of `SETTINGS` that the server has. sources: where each was set, in the words of `pg_settings`.
    connections: number of open connections, including ours. role, database: their names, quoted for SQL.
    """

    settings: Mapping[str, str]
    sources: Mapping[str, str]
    in_recovery: bool
    connections: int
    role: str
    database: str


def set_statement_timeout(connection: Connection, seconds: float) -> None:
    """Limit the time of each statement in this transaction."""
    connection.execute(_SET_STATEMENT_TIMEOUT, {"milliseconds": str(int(seconds * 1000))})


def read_server(connection: Connection) -> Server:
    """Return the server's settings and state."""
    rows = connection.execute(_SELECT_SETTINGS, {"names": list(SETTINGS)}).all()
    return Server(
        {row.name: row.setting for row in rows},
        {row.name: row.source for row in rows},
        *connection.execute(_SELECT_SERVER).one(),
    )


def read_clock(connection: Connection) -> float:
    """Return the server's time in seconds since 1970."""
    return float(connection.scalar(_SELECT_CLOCK) or 0)
