"""The books: what batches and imports came to, for whoever waits or watches."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from participation.errors import Unavailable
from participation.store import due
from participation.store.database import transaction

LOOK_SECONDS: Final = 0.2
"""How often whoever waits for an import looks into the books."""

_IMPORT = text("""
SELECT coalesce(sum(stored), 0), coalesce(sum(duplicates), 0), coalesce(sum(dead), 0), coalesce(sum(opted_out), 0)
FROM import_counts WHERE import_id = :import_id
""")

_FORGET = text("""
WITH old AS (
    DELETE FROM ingest_batches WHERE stored_at < now() - make_interval(days => :days) RETURNING batch_id
)
DELETE FROM import_counts WHERE batch_id IN (SELECT batch_id FROM old)
""")

_STATUS = text(f"""
SELECT
    now() AS checked_at,
    (SELECT max(stored_at) FROM ingest_batches) AS last_commit_at,
    (SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL) AS dead_letters,
    (SELECT count(*) FROM ({due.DUE}) AS days) AS days_due
""")


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the events of one import so far."""

    stored: int
    duplicates: int
    dead: int
    opted_out: int = 0

    @property
    def done(self) -> int:
        return self.stored + self.duplicates + self.dead + self.opted_out


@dataclass(frozen=True, slots=True)
class Books:
    """The state of the database's side of the route."""

    checked_at: datetime
    last_commit_at: datetime | None
    dead_letters: int
    days_due: int


def tally(connection: Connection, import_id: UUID) -> Tally:
    """Return what became of the import's events so far."""
    return Tally(*connection.execute(_IMPORT, {"import_id": import_id}).one())


def wait(engine: Engine, import_id: UUID, accepted: int, on_progress: Callable[[Tally, float], None]) -> Tally:
    """Wait until so many of the import's events are stored, duplicates, dead or opted out; return the counts.

    Calls `on_progress` with the counts so far and the seconds since they last changed.
    """
    seen, changed_at = None, time.monotonic()
    now = Tally(0, 0, 0)
    while True:
        with suppress(Unavailable), transaction(engine) as connection:  # a restart of the server is waited for
            now = tally(connection, import_id)
        if now.done >= accepted:
            return now
        if now != seen:
            seen, changed_at = now, time.monotonic()
        on_progress(now, time.monotonic() - changed_at)
        time.sleep(LOOK_SECONDS)


def books(connection: Connection) -> Books:
    """Return the last commit (None before the first), dead letters not replayed, and closed days that are due."""
    return Books(*connection.execute(_STATUS).one())


def forget_batches(connection: Connection, days: int) -> None:
    """Delete the rows of batches stored more than so many days ago. The caller commits."""
    connection.execute(_FORGET, {"days": days})
