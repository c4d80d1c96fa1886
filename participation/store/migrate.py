"""Bring a database to the current schema, and tell whether it is there."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from participation.errors import ConfigError
from participation.store import partitions
from participation.store.database import connect, transaction

LOCK: Final = 7_420_003
"""Advisory lock under which migrations run, so that two at once do not meet."""

PARTITIONS_AHEAD: Final = 3


def migrate(url: str, partitions_ahead_months: int = PARTITIONS_AHEAD) -> list[str]:
    """Run the migrations that are missing and make the partitions ahead; return the names of the migrations run.

    The migrations run in one transaction, under a lock and a lock timeout; the partitions follow in another. A repeat
    is safe.
    """
    engine = connect(url)
    try:
        before = _current(engine)
        if before is not None and before not in _known():
            raise ConfigError(f"the database has a newer schema ({before}) than this version: upgrade participation")
        with transaction(engine) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        partitions.ahead(engine, datetime.now(UTC), partitions_ahead_months)
        return _missing(before)
    finally:
        engine.dispose()


def check(engine: Engine) -> None:
    """Raise `ConfigError` unless the schema is the one that this version needs, or a later one."""
    missing = _missing(_current(engine))
    if missing:
        raise ConfigError(f"the database lacks {len(missing)} migration(s): run `participation migrate`")


def standing(engine: Engine) -> tuple[list[str], str | None]:
    """Return the migrations that are missing, and the schema's version if it is later than what this version knows."""
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
    """Return the migrations of this version, the first one first."""
    return [revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def _missing(current: str | None) -> list[str]:
    known = _known()
    if current is None:
        return known
    # A revision that this version does not know is a later one: an old worker beside a new schema.
    return known[known.index(current) + 1 :] if current in known else []
