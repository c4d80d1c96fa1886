"""The write that everything rests on: one claimed batch into PostgreSQL, in one transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from participation import failpoint
from participation.errors import Taken
from participation.store import calendar, communities, events
from participation.store.events import Accepted, DeadLetter
from participation.store.sifting import sift


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a batch: received = stored + duplicates + dead. opted_out: what was left out beside that."""

    received: int
    stored: int
    duplicates: int
    dead: int
    opted_out: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + others for mine, others in zip(astuple(self), astuple(other), strict=True)))


# Tried, not waited for: whoever holds it may have been stopped with its transaction open.
_OWN = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:batch_id, 0))")

# Where events came twice lately, they will again: what a copy leaves behind that ends at such a row is waste.
_BEGIN = text("""
INSERT INTO ingest_batches (batch_id, started_at) VALUES (:batch_id, :started_at)
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
INSERT INTO import_counts (import_id, batch_id, stored, duplicates, dead, opted_out)
VALUES (:import_id, :batch_id, :stored, :duplicates, :dead, :opted_out)
""")

_END = text("""
UPDATE ingest_batches
SET received = :received, stored = :stored, duplicates = :duplicates, dead = :dead, opted_out = :opted_out,
    stored_at = clock_timestamp()
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
    still rejects becomes a dead letter. Raises `Taken` while another transaction is storing the batch, and
    `Unavailable` if a community was deleted meanwhile.
    """
    if not connection.scalar(_OWN, {"batch_id": batch_id}):
        raise Taken(f"another process is storing the batch {batch_id}")
    all_new = connection.scalar(_BEGIN, {"batch_id": batch_id, "started_at": started_at})
    if all_new is None:
        return None
    calendar.share(connection)
    communities.hold(connection, {item.community_id for item in accepted})
    accepted, dead, opted_out = sift(connection, accepted, dead)
    stored, rejected = events.insert(connection, accepted, all_new=all_new)
    letters = [*dead, *rejected]
    if letters:
        connection.execute(_QUARANTINE, [{**letter._asdict(), "batch_id": batch_id} for letter in letters])
    by_import = _counts(accepted, dead, stored, rejected, opted_out)
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
    opted_out: Counter[str | None],
) -> dict[str | None, Counts]:
    """Return what became of the events of each import, and under None of those of none."""
    received = events.by_import(accepted) + Counter(letter.import_id for letter in dead)
    quarantined = Counter(letter.import_id for letter in (*dead, *rejected))
    return {
        name: Counts(
            received[name],
            stored[name],
            received[name] - stored[name] - quarantined[name],
            quarantined[name],
            opted_out[name],
        )
        for name in received | opted_out
    }
