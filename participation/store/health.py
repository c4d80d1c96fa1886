"""What PostgreSQL says of itself and of our tables, for `participation doctor`. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from participation.store.tables import metadata

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

EVENTS: Final = "participation_events"

VERSION: Final = "alembic_version"
"""Table in which Alembic notes the schema's version."""

USED: Final = {
    EVENTS: "SELECT INSERT",
    "communities": "SELECT INSERT UPDATE",
    "member_accounts": "SELECT INSERT UPDATE DELETE",
    "ingest_batches": "SELECT INSERT UPDATE DELETE",
    "import_counts": "SELECT INSERT DELETE",
    "dead_letters": "SELECT INSERT UPDATE",
    "due_days": "SELECT INSERT UPDATE DELETE",
    "member_daily_highlights": "SELECT INSERT DELETE",
    "community_daily_highlights": "SELECT INSERT DELETE",
    VERSION: "SELECT",
}
"""What workers do with each table."""

_SETTINGS = text("SELECT name, setting, source FROM pg_settings WHERE name = ANY (:names)")

_SERVER = text("""
SELECT
    pg_is_in_recovery() AS in_recovery,
    (SELECT sum(numbackends) FROM pg_stat_database) AS connections,
    quote_ident(current_user) AS role,
    quote_ident(current_database()) AS database
""")

_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())")

_IMPATIENT = text("SELECT set_config('statement_timeout', :milliseconds, true)")

# The primary key must be valid on the parent: without it ON CONFLICT has nothing to stumble over.
_TABLES = text("""
SELECT
    wanted.name,
    t.oid IS NOT NULL AS there,
    coalesce(t.relpersistence = 'u', false) AS unlogged,
    ARRAY(
        SELECT CAST(attname AS text)
        FROM pg_index
        CROSS JOIN LATERAL unnest(indkey) WITH ORDINALITY AS part (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = indrelid AND a.attnum = part.attnum
        WHERE indrelid = t.oid AND indisprimary AND indisvalid
        ORDER BY place
    ) AS key
FROM unnest(CAST(:names AS text[])) AS wanted (name)
LEFT JOIN pg_class AS t ON t.oid = to_regclass(wanted.name)
ORDER BY wanted.name
""")

_UNLOGGED_PARTITIONS = text("""
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = to_regclass(:events) AND relpersistence = 'u' ORDER BY relname
""")

_LACKING = text("""
SELECT privilege || ' on ' || name
FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) AS used (name, privilege)
WHERE NOT has_table_privilege(to_regclass(name), privilege)
ORDER BY name, privilege
""")

# To attach a partition one has to own the table.
_MAKING = text("""
SELECT
    pg_has_role(relowner, 'USAGE') AS owner,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS creates,
    has_database_privilege(current_database(), 'TEMPORARY') AS temporary
FROM pg_class WHERE oid = to_regclass(:events)
""")


@dataclass(frozen=True, slots=True)
class Server:
    """The server as our own sessions see it.

    settings: those of `SETTINGS` that it has. sources: where each was set, in the words of `pg_settings`.
    connections: those that are open, ours included. role, database: their names, quoted as SQL needs it.
    """

    settings: Mapping[str, str]
    sources: Mapping[str, str]
    in_recovery: bool
    connections: int
    role: str
    database: str


@dataclass(frozen=True, slots=True)
class Tables:
    """What is wrong with our tables and with our rights on them, by name; nothing where all is well.

    lacking: rights, as "INSERT on due_days". makes_partitions: whether our role can make a month's partition.
    """

    gone: tuple[str, ...]
    without_key: tuple[str, ...]
    unlogged: tuple[str, ...]
    lacking: tuple[str, ...]
    makes_partitions: bool


def be_impatient(connection: Connection, seconds: float) -> None:
    """Let no statement of this transaction take longer."""
    connection.execute(_IMPATIENT, {"milliseconds": str(int(seconds * 1000))})


def server(connection: Connection) -> Server:
    """Read the settings that the promise rests on."""
    rows = connection.execute(_SETTINGS, {"names": list(SETTINGS)}).all()
    return Server(
        {row.name: row.setting for row in rows},
        {row.name: row.source for row in rows},
        *connection.execute(_SERVER).one(),
    )


def clock(connection: Connection) -> float:
    """Return the server's time in seconds since 1970."""
    return float(connection.scalar(_CLOCK) or 0)


def tables(connection: Connection) -> Tables:
    """Compare the tables with those of `store.tables`, and our rights with what workers do."""
    rows = connection.execute(_TABLES, {"names": list(metadata.tables)}).all()
    partitions = connection.scalars(_UNLOGGED_PARTITIONS, {"events": EVENTS})
    return Tables(
        gone=tuple(row.name for row in rows if not row.there),
        without_key=tuple(row.name for row in rows if row.there and row.key != key(row.name)),
        unlogged=(*(row.name for row in rows if row.unlogged), *partitions),
        lacking=_lacking(connection),
        makes_partitions=all(connection.execute(_MAKING, {"events": EVENTS}).one_or_none() or [False]),
    )


def key(table: str) -> list[str]:
    """Return the columns of a table's primary key in their order."""
    return [column.name for column in metadata.tables[table].primary_key]


def _lacking(connection: Connection) -> tuple[str, ...]:
    pairs = [(table, privilege) for table, privileges in USED.items() for privilege in privileges.split()]
    names, privileges = zip(*pairs, strict=True)
    found = connection.scalars(_LACKING, {"names": list(names), "privileges": list(privileges)})
    return tuple(found)
