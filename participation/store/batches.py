"""The write that everything rests on: one claimed batch into PostgreSQL, in one transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from participation import failpoint
from participation.errors import Taken
from participation.store import calendar, events
from participation.store.events import Accepted, DeadLetter


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a batch: received = stored + duplicates + dead."""

    received: int
    stored: int
    duplicates: int
    dead: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + others for mine, others in zip(astuple(self), astuple(other), strict=True)))


# Tried, not waited for: whoever holds it may have been stopped with its transaction open.
_OWN = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:batch_id, 0))")

# Where events came twice lately, they will again: what a copy leaves behind that ends at such a row is waste.
_BEGIN = text("""
INSERT INTO ingest_batches (batch_id, received, started_at) VALUES (:batch_id, :received, :started_at)
ON CONFLICT DO NOTHING
RETURNING NOT EXISTS (
    SELECT FROM ingest_batches WHERE stored_at > now() - interval '1 minute' AND duplicates > 0
)
""")

_QUARANTINE = text("""
INSERT INTO dead_letters (reason, detail, raw, raw_bytes, raw_sha256, batch_id)
VALUES (:reason, :detail, :raw, :raw_bytes, :raw_sha256, :batch_id)
""")

_IMPORTS = text("""
INSERT INTO import_counts (import_id, batch_id, stored, duplicates, dead)
VALUES (:import_id, :batch_id, :stored, :duplicates, :dead)
""")

_END = text("""
UPDATE ingest_batches SET stored = :stored, duplicates = :duplicates, dead = :dead, stored_at = clock_timestamp()
WHERE batch_id = :batch_id
""")


def store_batch(
    connection: Connection,
    batch_id: str,
    started_at: datetime,
    accepted: Sequence[Accepted],
    dead: Sequence[DeadLetter],
) -> Counts | None:
    """Store the batch; return what became of it, or None if it was stored before.

    The caller commits, and has made the partitions and communities. A row that passes validation and that PostgreSQL
    still rejects becomes a dead letter. Raises `Taken` while another transaction is storing the batch.
    """
    if not connection.scalar(_OWN, {"batch_id": batch_id}):
        raise Taken(f"another process is storing the batch {batch_id}")
    received = len(accepted) + len(dead)
    begin = {"batch_id": batch_id, "received": received, "started_at": started_at}
    all_new = connection.scalar(_BEGIN, begin)
    if all_new is None:
        return None
    calendar.share(connection)
    stored, rejected = events.insert(connection, accepted, all_new=all_new)
    letters = [*dead, *rejected]
    if letters:
        connection.execute(_QUARANTINE, [{**letter._asdict(), "batch_id": batch_id} for letter in letters])
    by_import = _counts(accepted, dead, stored, rejected)
    imports = [
        {"import_id": import_id, "batch_id": batch_id, **asdict(counts)}
        for import_id, counts in by_import.items()
        if import_id is not None
    ]
    if imports:
        connection.execute(_IMPORTS, imports)
    total = sum(by_import.values(), start=Counts(0, 0, 0, 0))
    connection.execute(_END, {"batch_id": batch_id, **asdict(total)})
    failpoint.reach("after_copy")
    return total


def _counts(
    accepted: Sequence[Accepted],
    dead: Sequence[DeadLetter],
    stored: Counter[str | None],
    rejected: Sequence[DeadLetter],
) -> dict[str | None, Counts]:
    """Return what became of the events of each import, and under None of those of none."""
    received = events.by_import(accepted) + Counter(letter.import_id for letter in dead)
    quarantined = Counter(letter.import_id for letter in (*dead, *rejected))
    return {
        name: Counts(count, stored[name], count - stored[name] - quarantined[name], quarantined[name])
        for name, count in received.items()
    }
