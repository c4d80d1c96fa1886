"""Reads the state of the database for `participation status`: the last commit, dead letters, and due days."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from participation.store.days.due import DUE_DAYS

_SELECT_STORED_STATE = text(f"""
SELECT
    now() AS checked_at,
    (SELECT max(stored_at) FROM ingest_batches) AS last_commit_at,
    (SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL) AS dead_letters,
    (SELECT count(*) FROM ({DUE_DAYS}) AS days) AS days_due
""")


@dataclass(frozen=True, slots=True)
class StoredState:
    """The state at `checked_at`.

    last_commit_at: None before the first commit. dead_letters: without those that were replayed.
    """

    checked_at: datetime
    last_commit_at: datetime | None
    dead_letters: int
    days_due: int


def read_stored_state(connection: Connection) -> StoredState:
    """Return the state of the database now."""
    return StoredState(*connection.execute(_SELECT_STORED_STATE).one())
