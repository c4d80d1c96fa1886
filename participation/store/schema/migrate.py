"""Migrates a database to the current schema, and checks whether it is migrated."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from participation.errors import ConfigError
from participation.store import locks
from participation.store.database import connect, transaction
from participation.store.schema import partitions

PARTITIONS_AHEAD: Final = 3


def migrate(url: str, partitions_ahead_months: int = PARTITIONS_AHEAD) -> list[str]:
    """Run the missing migrations and create the coming partitions; return the names of the migrations that ran.

    The migrations run in one transaction, under a lock and a lock timeout. The partitions follow in another. Repeating
    it is safe.
    """
    engine = connect(url)
    try:
        before = _current(engine)
        if before is not None and before not in _known():
            raise ConfigError(f"the database has a newer schema ({before}) than this program: upgrade participation")
        with transaction(engine) as connection:
            locks.lock_migrations(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        partitions.ahead(engine, datetime.now(UTC), partitions_ahead_months)
        return _missing(before)
    finally:
        engine.dispose()


def check(engine: Engine) -> None:
    """Raise `ConfigError` if the schema is older than this version needs."""
    missing = _missing(_current(engine))
    if missing:
        raise ConfigError(f"the database lacks {len(missing)} migration(s): run `participation migrate`")


def schema_state(engine: Engine) -> tuple[list[str], str | None]:
    """Return the missing migrations, and the schema's version if it is newer than this program."""
    current = _current(engine)
    return _missing(current), None if current in (None, *_known()) else current


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _current(engine: Engine) -> str | None:
    with transaction(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _known() -> list[str]:
    """Return the migrations of this program, the first one first."""
    return [revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def _missing(current: str | None) -> list[str]:
    known = _known()
    if current is None:
        return known
    # A revision that this program does not know is newer: this is an old worker with a new schema.
    return known[known.index(current) + 1 :] if current in known else []
