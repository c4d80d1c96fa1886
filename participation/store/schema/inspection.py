"""Compares the tables of a database with those that participation needs. Changes nothing."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from participation.store.schema import privileges
from participation.store.schema.tables import metadata

# The primary key must be valid on the parent table: ON CONFLICT needs it.
_SELECT_TABLES = text("""
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

_SELECT_UNLOGGED_PARTITIONS = text("""
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = to_regclass(:events) AND relpersistence = 'u' ORDER BY relname
""")


@dataclass(frozen=True, slots=True)
class Tables:
    """The problems of the tables and of our privileges, by name. A field without problems is empty.

    lacking: missing privileges, for example "INSERT on due_days". makes_partitions: whether our role can create
    partitions.
    """

    gone: tuple[str, ...]
    without_key: tuple[str, ...]
    unlogged: tuple[str, ...]
    lacking: tuple[str, ...]
    makes_partitions: bool


def inspect_tables(connection: Connection) -> Tables:
    """Compare the tables with those of `tables.metadata`, and our privileges with what workers need."""
    rows = connection.execute(_SELECT_TABLES, {"names": list(metadata.tables)}).all()
    partitions = connection.scalars(_SELECT_UNLOGGED_PARTITIONS, {"events": privileges.EVENTS})
    return Tables(
        gone=tuple(row.name for row in rows if not row.there),
        without_key=tuple(row.name for row in rows if row.there and row.key != primary_key(row.name)),
        unlogged=(*(row.name for row in rows if row.unlogged), *partitions),
        lacking=privileges.missing_privileges(connection),
        makes_partitions=privileges.can_make_partitions(connection),
    )


def primary_key(table: str) -> list[str]:
    """Return the columns of a table's primary key in their order."""
    return [column.name for column in metadata.tables[table].primary_key]
