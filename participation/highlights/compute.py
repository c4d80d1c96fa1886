"""⑤ The nightly computation: lists the local days that are due, and computes one. The SQL is in `store.days`."""

from datetime import date

from sqlalchemy import Connection, Engine

from participation.highlights.rules import REPUTATION
from participation.store.database import transaction
from participation.store.days import due
from participation.store.days.compute import replace_day
from participation.store.days.due import Day


def list_due_days(engine: Engine) -> list[Day]:
    """Return the days of all communities that have ended and were changed since they were computed."""
    with transaction(engine) as connection:
        due.compact_marks(connection)
        return due.list_due(connection)


def compute_day(connection: Connection, community_id: str, day: date) -> bool:
    """Compute a local day with the current rules; return False if the community is unknown.

    The caller commits. Repeating it is safe: it writes the same rows.
    """
    return replace_day(connection, community_id, day, REPUTATION)
