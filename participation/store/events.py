"""The write that everything rests on: one claimed batch into PostgreSQL, in one transaction."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple, Self

from sqlalchemy import Connection, text

from participation import failpoint
from participation.errors import Rejected, Taken
from participation.store import calendar
from participation.store.database import translated

RAW_BYTES: Final = 65_536
"""How much of a list element a dead letter keeps; its whole length and hash are kept beside."""


class Row(NamedTuple):
    """A valid event as PostgreSQL's CSV format takes it; the fields are the columns."""

    community_id: str
    occurred_at: str
    event_id: str
    platform: str
    event_type: str
    channel_id: str | None
    member_id: str
    object_id: str | None
    object_author_id: str | None
    actor_kind: str
    metadata: str
    import_id: str | None


class Accepted(NamedTuple):
    """A row and the list element that it was read from."""

    row: Row
    raw: bytes


class DeadLetter(NamedTuple):
    """A list element that cannot be stored: the reason's code, what is wrong, and what came in."""

    reason: str
    detail: str
    raw: bytes
    raw_bytes: int
    raw_sha256: bytes
    import_id: str | None

    @classmethod
    def of(cls, raw: bytes, reason: str, detail: str, import_id: str | None) -> Self:
        # The detail may quote the input, which may hold what `text` cannot.
        plain = detail.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
        return cls(reason, plain[:2000], raw[:RAW_BYTES], len(raw), sha256(raw).digest(), import_id)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a batch: received = stored + duplicates + dead."""

    received: int
    stored: int
    duplicates: int
    dead: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + others for mine, others in zip(astuple(self), astuple(other), strict=True)))


_COLUMNS: Final = ", ".join(Row._fields)

# Tried, not waited for: whoever holds it may have been stopped with its transaction open.
_OWN = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:batch_id, 0))")

_BEGIN = text("""
INSERT INTO ingest_batches (batch_id, received, started_at) VALUES (:batch_id, :received, :started_at)
ON CONFLICT DO NOTHING RETURNING true
""")

_INCOMING = text("""
CREATE TEMPORARY TABLE IF NOT EXISTS incoming
(LIKE participation_events INCLUDING DEFAULTS) ON COMMIT DELETE ROWS
""")

_EMPTY = text("DELETE FROM incoming")

_COPY = f"COPY incoming ({_COLUMNS}) FROM STDIN (FORMAT csv)"

# Sorted by key: two batches that overlap would otherwise wait for each other in a circle.
_INSERT = text(f"""
WITH stored AS (
    INSERT INTO participation_events ({_COLUMNS})
    SELECT {_COLUMNS} FROM incoming ORDER BY community_id, occurred_at, event_id
    ON CONFLICT DO NOTHING
    RETURNING community_id, occurred_at, event_type, actor_kind, import_id
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source="stored")}
)
SELECT CAST(import_id AS text) AS import_id, count(*) AS events FROM stored GROUP BY import_id
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
    if connection.scalar(_BEGIN, begin) is None:
        return None
    calendar.share(connection)
    connection.execute(_INCOMING)
    stored, rejected = _insert(connection, accepted)
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
    received = Counter(item.row.import_id for item in accepted) + Counter(letter.import_id for letter in dead)
    quarantined = Counter(letter.import_id for letter in (*dead, *rejected))
    return {
        name: Counts(count, stored[name], count - stored[name] - quarantined[name], quarantined[name])
        for name, count in received.items()
    }


def _insert(connection: Connection, accepted: Sequence[Accepted]) -> tuple[Counter[str | None], list[DeadLetter]]:
    """Insert the rows, halving them until those that PostgreSQL rejects stand alone.

    Returns how many were new, by import, and the letters of the rejected.
    """
    if not accepted:
        return Counter(), []
    try:
        with translated(), connection.begin_nested():
            return _copy(connection, accepted), []
    except Rejected as error:
        if len(accepted) == 1:
            row, raw = accepted[0]
            return Counter(), [DeadLetter.of(raw, "rejected", str(error), row.import_id)]
    half = len(accepted) // 2
    first, first_letters = _insert(connection, accepted[:half])
    second, second_letters = _insert(connection, accepted[half:])
    return first + second, [*first_letters, *second_letters]


def _copy(connection: Connection, accepted: Sequence[Accepted]) -> Counter[str | None]:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(item.row for item in accepted)
    buffer.seek(0)
    connection.execute(_EMPTY)
    with closing(connection.connection.cursor()) as cursor:
        cursor.copy_expert(_COPY, buffer)
    return Counter({row.import_id: row.events for row in connection.execute(_INSERT)})
