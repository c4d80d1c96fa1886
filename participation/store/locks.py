"""All advisory locks, and the order in which a transaction takes them. In another order, two could deadlock.

The order: the batch, `TIME_ZONES`, `OPT_OUTS`, `COMPUTATIONS`, then the lock of one day. `MIGRATIONS` and `PARTITIONS`
are each taken alone. Every lock ends with its transaction.
"""

from typing import Final

from sqlalchemy import Connection, text

PARTITIONS: Final = 7_420_001
"""Exclusive for transactions that create partitions."""

TIME_ZONES: Final = 7_420_002
"""Shared by transactions that convert times into local days. Exclusive to change a zone or delete a community."""

MIGRATIONS: Final = 7_420_003
"""Exclusive for migrations."""

OPT_OUTS: Final = 7_420_004
"""Shared by transactions that read the opt-outs and store events. Exclusive for opting out."""

COMPUTATIONS: Final = 7_420_005
"""Shared by transactions that compute a day. Exclusive to change data that a computation may have read."""

SHARE_OPT_OUTS: Final = f"SELECT pg_advisory_xact_lock_shared({OPT_OUTS})"
"""Statement that makes opt-outs wait until the transaction ends."""

_LOCK_SHARED = text("SELECT pg_advisory_xact_lock_shared(:lock)")
_LOCK_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(:lock)")

_LOCK_DAY = text(f"""
SELECT pg_advisory_xact_lock_shared({COMPUTATIONS}),
    pg_advisory_xact_lock(hashtextextended(:community_id || ' ' || CAST(:day AS text), 0))
""")

# Does not wait, because the process that has the lock may hang with its transaction open.
_TRY_LOCK_BATCH = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:batch_id, 0))")


def try_lock_batch(connection: Connection, batch_id: str) -> bool:
    """Lock a batch; return False at once if another transaction has it."""
    return bool(connection.scalar(_TRY_LOCK_BATCH, {"batch_id": batch_id}))


def share_time_zones(connection: Connection) -> None:
    """Make changes of time zones wait until this transaction ends. Several transactions can do this at once."""
    connection.execute(_LOCK_SHARED, {"lock": TIME_ZONES})


def lock_time_zones(connection: Connection) -> None:
    """Wait for transactions that convert times into days, and make new ones wait until this transaction ends."""
    connection.execute(_LOCK_EXCLUSIVE, {"lock": TIME_ZONES})


def lock_opt_outs(connection: Connection) -> None:
    """Wait for transactions that have read the opt-outs, and make new ones wait until this transaction ends."""
    connection.execute(_LOCK_EXCLUSIVE, {"lock": OPT_OUTS})


def lock_day(connection: Connection, key: dict[str, object]) -> None:
    """Make other computations of the same day wait. key: `community_id` and `day`."""
    connection.execute(_LOCK_DAY, key)


def lock_computations(connection: Connection) -> None:
    """Wait for computations of days, and make new ones wait until this transaction ends."""
    connection.execute(_LOCK_EXCLUSIVE, {"lock": COMPUTATIONS})


def lock_partitions(connection: Connection) -> None:
    """Make other transactions that create partitions wait."""
    connection.execute(_LOCK_EXCLUSIVE, {"lock": PARTITIONS})


def lock_migrations(connection: Connection) -> None:
    """Make other migrations wait."""
    connection.execute(_LOCK_EXCLUSIVE, {"lock": MIGRATIONS})
