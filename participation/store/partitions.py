"""Monthly partitions of `participation_events`: made ahead of time, and on demand for any other month."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text

from participation.store.database import transaction

LOCK = 7_420_001
"""Advisory lock under which partitions are made, so that two workers do not make the same one."""

# Asked of the catalogue itself: `to_regclass` may answer from a cache that is older than the lock.
_MISSING = text("""
SELECT name FROM unnest(CAST(:names AS text[])) AS name
WHERE NOT EXISTS (
    SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = CAST('participation_events' AS regclass) AND relname = name
)
ORDER BY name
""")

_NAMES = text("""
SELECT CAST(CAST(inhrelid AS regclass) AS text) AS name FROM pg_inherits
WHERE inhparent = CAST('participation_events' AS regclass) ORDER BY name
""")

# Made apart and attached: that takes no lock under which a running flush would wait.
_CREATE = """
CREATE TABLE {name} (LIKE participation_events INCLUDING ALL);
ALTER TABLE participation_events ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');
"""


def ensure(engine: Engine, months: Iterable[str]) -> list[str]:
    """Make the partitions of these months of UTC (as "2026-03") where they are missing; return the new names.

    Runs in a transaction of its own, before the one that inserts. A repeat is safe.
    """
    starts = {_name(month): datetime.fromisoformat(f"{month}-01T00:00:00+00:00") for month in months}
    with transaction(engine) as connection:
        if not _missing(connection, starts):
            return []
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        made = _missing(connection, starts)
        for name in made:
            start = starts[name]
            connection.exec_driver_sql(
                _CREATE.format(name=name, start=start.isoformat(), end=following(start).isoformat())
            )
        return made


def ahead(engine: Engine, moment: datetime, months: int) -> list[str]:
    """Make the partition of the month that holds `moment` and those of the `months` after it."""
    return ensure(engine, _months(moment, months))


def missing(connection: Connection, moment: datetime, months: int) -> list[str]:
    """Return the names of those partitions that `ahead` would make now."""
    return _missing(connection, map(_name, _months(moment, months)))


def names(connection: Connection) -> list[str]:
    """Return the partitions that there are, each as SQL writes its name."""
    return list(connection.scalars(_NAMES))


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
    return list(connection.scalars(_MISSING, {"names": list(names)}))
