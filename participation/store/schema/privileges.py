"""The privileges that workers need, and which of them are missing."""

from typing import Final

from sqlalchemy import Connection, text

EVENTS: Final = "participation_events"

VERSION: Final = "alembic_version"
"""Table in which Alembic stores the version of the schema."""

NEEDED: Final = {
    EVENTS: "SELECT INSERT",
    "communities": "SELECT INSERT UPDATE",
    "member_accounts": "SELECT INSERT UPDATE DELETE",
    "community_non_users": "SELECT INSERT DELETE",
    "ingest_batches": "SELECT INSERT UPDATE DELETE",
    "import_counts": "SELECT INSERT DELETE",
    "dead_letters": "SELECT INSERT UPDATE",
    "due_days": "SELECT INSERT UPDATE DELETE",
    "member_daily_highlights": "SELECT INSERT DELETE",
    "community_daily_highlights": "SELECT INSERT DELETE",
    VERSION: "SELECT",
}
"""The privileges that workers need on each table."""

_SELECT_MISSING_PRIVILEGES = text("""
SELECT privilege || ' on ' || name
FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) AS used (name, privilege)
WHERE NOT has_table_privilege(to_regclass(name), privilege)
ORDER BY name, privilege
""")

# Attaching a partition requires ownership of the table.
_CAN_MAKE_PARTITIONS = text("""
SELECT
    pg_has_role(relowner, 'USAGE') AS owner,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS creates,
    has_database_privilege(current_database(), 'TEMPORARY') AS temporary
FROM pg_class WHERE oid = to_regclass(:events)
""")


def missing_privileges(connection: Connection) -> tuple[str, ...]:
    """Return the privileges that our role needs and does not have, for example "INSERT on due_days"."""
    pairs = [(table, privilege) for table, privileges in NEEDED.items() for privilege in privileges.split()]
    names, privileges = zip(*pairs, strict=True)
    values = {"names": list(names), "privileges": list(privileges)}
    return tuple(connection.scalars(_SELECT_MISSING_PRIVILEGES, values))


def can_make_partitions(connection: Connection) -> bool:
    """Return whether our role owns the table of events, and may create tables and temporary tables."""
    return all(connection.execute(_CAN_MAKE_PARTITIONS, {"events": EVENTS}).one_or_none() or [False])
