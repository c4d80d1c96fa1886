"""Monthly partitions of `participation_events`, created in advance, or when an event of another month needs one."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text

from participation.store import locks
from participation.store.database import transaction

# Read from the catalogue: `to_regclass` may answer from a cache that is older than the lock.
_SELECT_MISSING_PARTITIONS = text("""
SELECT name FROM unnest(CAST(:names AS text[])) AS name
WHERE NOT EXISTS (
    SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = CAST('participation_events' AS regclass) AND relname = name
)
ORDER BY name
""")

_SELECT_PARTITIONS = text("""
SELECT CAST(CAST(inhrelid AS regclass) AS text) AS name FROM pg_inherits
WHERE inhparent = CAST('participation_events' AS regclass) ORDER BY name
""")

# Created first and then attached, so that a running flush does not wait for its locks.
_CREATE_PARTITION = """
CREATE TABLE {name} (LIKE participation_events INCLUDING ALL);
ALTER TABLE participation_events ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');
"""


def ensure(engine: Engine, months: Iterable[str]) -> list[str]:
    """Create the missing partitions of these months in UTC; return the names of the new ones.

    months: for example "2026-03". Runs in a transaction of its own, before the one that inserts. Repeating it is safe.
    """
    starts = {_name(month): datetime.fromisoformat(f"{month}-01T00:00:00+00:00") for month in months}
    with transaction(engine) as connection:
        if not _missing(connection, starts):
            return []
        locks.lock_partitions(connection)
        made = _missing(connection, starts)
        for name in made:
            start = starts[name]
            connection.exec_driver_sql(
                _CREATE_PARTITION.format(name=name, start=start.isoformat(), end=following(start).isoformat())
            )
        return made


def ahead(engine: Engine, moment: datetime, months: int) -> list[str]:
    """Create the partitions of the month of `moment` and of the `months` after it; return the names of the new ones."""
    return ensure(engine, _months(moment, months))


def missing(connection: Connection, moment: datetime, months: int) -> list[str]:
    """Return the names of the partitions that `ahead` would create."""
    return _missing(connection, map(_name, _months(moment, months)))


def names(connection: Connection) -> list[str]:
    """Return the names of all partitions, as SQL writes them."""
    return list(connection.scalars(_SELECT_PARTITIONS))


def following(month: datetime) -> datetime:
    """Return the same moment of the next month."""
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _months(moment: datetime, months: int) -> list[str]:
    wanted = [moment.astimezone(UTC).replace(day=1)]
    for _ in range(months):
        wanted.append(following(wanted[-1]))
    return [f"{month:%Y-%m}" for month in wanted]


def _name(month: str) -> str:
    return f"participation_events_{month.replace('-', '_')}"


def _missing(connection: Connection, names: Iterable[str]) -> list[str]:
    return list(connection.scalars(_SELECT_MISSING_PARTITIONS, {"names": list(names)}))
