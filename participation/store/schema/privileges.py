"""The privileges that workers and commands need, except `migrate`, and which of them are missing."""

from typing import Final

from sqlalchemy import Connection, text

EVENTS: Final = "participation_events"

VERSION: Final = "alembic_version"
"""Table in which Alembic stores the version of the schema."""

NEEDED: Final = {
    EVENTS: "SELECT INSERT UPDATE DELETE",
    "communities": "SELECT INSERT UPDATE DELETE",
    "community_bots": "SELECT INSERT UPDATE DELETE",
    "community_non_users": "SELECT INSERT DELETE",
    "community_parts": "SELECT INSERT DELETE",
    "deleted_communities": "SELECT INSERT UPDATE",
    "account_names": "SELECT INSERT UPDATE DELETE",
    "channel_names": "SELECT INSERT UPDATE DELETE",
    "space_names": "SELECT INSERT UPDATE DELETE",
    "member_accounts": "SELECT INSERT UPDATE DELETE",
    "hash_keys": "SELECT INSERT",
    "opt_outs": "SELECT INSERT UPDATE",
    "ingest_batches": "SELECT INSERT UPDATE DELETE",
    "import_counts": "SELECT INSERT DELETE",
    "dead_letters": "SELECT INSERT UPDATE DELETE",
    "due_days": "SELECT INSERT UPDATE DELETE",
    "member_daily_highlights": "SELECT INSERT UPDATE DELETE",
    "community_daily_highlights": "SELECT INSERT DELETE",
    "channel_daily_highlights": "SELECT INSERT DELETE",
    VERSION: "SELECT",
}
"""The privileges that workers and commands need on each table. Partitions need those of their table, too."""

# Erasing and deleting name partitions, which do not inherit the privileges of their table then.
_SELECT_MISSING_PRIVILEGES = text("""
WITH used AS (
    SELECT to_regclass(name) AS name, privilege
    FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) AS given (name, privilege)
)
SELECT privilege || ' on ' || name
FROM (
    SELECT name, privilege FROM used
    UNION ALL
    SELECT CAST(inhrelid AS regclass), privilege FROM used JOIN pg_inherits ON inhparent = name
    WHERE privilege <> 'INSERT'
) AS needed
WHERE NOT has_table_privilege(name, privilege)
ORDER BY CAST(name AS text), privilege
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
