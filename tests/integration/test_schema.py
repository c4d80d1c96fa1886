"""Migrations and table definitions say the same."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from participation.errors import ConfigError
from participation.store.database import connect
from participation.store.schema import migrate
from participation.store.schema.tables import metadata

CATALOGUE = {
    "columns": """
        SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "partitioning": "SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid) FROM pg_partitioned_table",
    "comments": """
        SELECT objoid::regclass::text, objsubid, description
        FROM pg_description JOIN pg_class ON pg_class.oid = objoid WHERE relnamespace = 'public'::regnamespace
    """,
}


def schema(engine: Engine) -> dict[str, set[tuple[object, ...]]]:
    """Read all that the catalogue knows of our tables, leaving out partitions and alembic's own table."""
    with engine.connect() as connection:
        return {
            name: {
                tuple(row)
                for row in connection.execute(text(query))
                if row[0] != "alembic_version" and not row[0].startswith("participation_events_")
            }
            for name, query in CATALOGUE.items()
        }


def test_schema__migrations_and_tables_build_the_same(database: str, empty_database: str) -> None:
    """A database built by the migrations and one built from the table definitions do not differ in anything."""
    migrated, built = connect(database), connect(empty_database)
    metadata.create_all(built)
    assert schema(migrated) == schema(built)
    assert {row[0] for row in schema(migrated)["columns"]} == set(metadata.tables)
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, metadata)
    assert [d for d in differences if "participation_events_" not in str(d)] == []
    migrated.dispose()
    built.dispose()


def test_migrate__repeat_does_nothing_and_partitions_are_ahead(empty_database: str) -> None:
    """The first run makes tables and partitions, the second finds everything there."""
    assert migrate.migrate(empty_database, 2) == ["0001", "0002", "0003", "0004", "0005", "0006"]
    assert migrate.migrate(empty_database, 2) == []
    engine = connect(empty_database)
    migrate.check(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_inherits")) == 2 * 3  # each with its key's index
    engine.dispose()


def test_check__empty_database_is_told_what_to_run(empty_database: str) -> None:
    """A database without tables is no crash later but a clear word now."""
    engine = connect(empty_database)
    with pytest.raises(ConfigError, match="run `participation migrate`"):
        migrate.check(engine)
    engine.dispose()


def test_check__later_schema_is_accepted_and_not_migrated(database: str) -> None:
    """An old worker goes on beside a new schema; an old `migrate` refuses to touch it."""
    engine = connect(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    migrate.check(engine)
    engine.dispose()
    with pytest.raises(ConfigError, match="newer"):
        migrate.migrate(database)
