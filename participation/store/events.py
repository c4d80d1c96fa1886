"""Events as rows: how a row is written down, and the two ways into `participation_events`."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from itertools import chain
from typing import Final, NamedTuple, Self

import orjson
from sqlalchemy import Connection, text

from participation.errors import Rejected
from participation.store import calendar
from participation.store.database import translated
from participation.store.members import Account
from participation.store.whose import NOBODY, Named

RAW_BYTES: Final = 65_536
"""How much of a list element a dead letter keeps; its whole length and hash are kept beside."""

SLICE_BYTES: Final = 262_144
"""How much of a copy is handed to the driver at once."""

NULL: Final = "\\N"
"""How PostgreSQL's text format writes that there is no value."""

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Row(NamedTuple):
    """A valid event as PostgreSQL's text format takes it, each value as `copied` writes it; the fields are the columns.

    occurred_at: as `participation.event.moment` writes it. event_id: 32 hexadecimal digits.
    """

    community_id: str
    occurred_at: str
    event_id: str
    platform: str
    event_type: str
    channel_id: str
    member_id: str
    object_id: str
    object_author_id: str
    actor_kind: str
    metadata: str
    import_id: str


def copied(value: str | None) -> str:
    """Write a value as PostgreSQL's text format takes it."""
    return NULL if value is None else value.translate(_ESCAPES)


class Accepted(NamedTuple):
    """A row, its community as it is, and the list element that it was read from."""

    row: Row
    community_id: str
    raw: bytes


class DeadLetter(NamedTuple):
    """A list element that cannot be stored: the reason's code, what is wrong, and what came in.

    accounts, occurred_at: whom its event names and its moment, as far as they can be read; not stored.
    """

    reason: str
    detail: str
    raw: bytes
    raw_bytes: int
    raw_sha256: bytes
    import_id: str | None
    accounts: tuple[Account, ...] = ()
    occurred_at: datetime | None = None

    @classmethod
    def of(cls, raw: bytes, reason: str, detail: str, import_id: str | None, named: Named = NOBODY) -> Self:
        # The detail may quote the input, which may hold what `text` cannot.
        plain = detail.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
        return cls(reason, plain[:2000], raw[:RAW_BYTES], len(raw), sha256(raw).digest(), import_id, *named)


_COLUMNS: Final = ", ".join(Row._fields)

_COPY: Final = f"COPY {{table}} ({_COLUMNS}) FROM STDIN WITH (ENCODING 'UTF8')"

_SEEN: Final = """
json_to_recordset(CAST(:seen AS json))
    AS seen (community_id text, occurred_at timestamptz, event_type text, actor_kind text)
"""

_MARK = text(f"""
INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source=_SEEN)}
""")

_INCOMING = text("""
CREATE TEMPORARY TABLE IF NOT EXISTS incoming
(LIKE participation_events INCLUDING DEFAULTS) ON COMMIT DELETE ROWS
""")

_EMPTY = text("DELETE FROM incoming")

# In the order of `_copy`, whatever the collation of the database; only control characters in an id sort otherwise.
_INSERT = text(f"""
WITH stored AS (
    INSERT INTO participation_events ({_COLUMNS})
    SELECT {_COLUMNS} FROM incoming
    ORDER BY date_trunc('month', occurred_at), community_id COLLATE "C", occurred_at, event_id
    ON CONFLICT DO NOTHING
    RETURNING community_id, occurred_at, event_type, actor_kind, import_id
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source="stored")}
)
SELECT CAST(import_id AS text) AS import_id, count(*) AS events FROM stored GROUP BY import_id
""")


def insert(
    connection: Connection, accepted: Sequence[Accepted], *, all_new: bool
) -> tuple[Counter[str | None], list[DeadLetter]]:
    """Insert the rows and mark their days; return how many were new, by import, and the letters of the rejected.

    all_new: whether to try first as if none of them were there yet, which takes half the time. The caller commits, and
    has made the partitions and communities.
    """
    if all_new and accepted:
        try:
            with translated(), connection.begin_nested():
                _copy(connection, "participation_events", accepted)
                _mark(connection, accepted)
                return by_import(accepted), []
        except Rejected:
            pass  # a row that is there already, twice in the batch, or that PostgreSQL does not take
    connection.execute(_INCOMING)
    return _merge(connection, accepted)


def by_import(accepted: Iterable[Accepted]) -> Counter[str | None]:
    """Count the rows of each import, and under None those of none."""
    return Counter(None if row.import_id == NULL else row.import_id for row, _, _ in accepted)


def _copy(connection: Connection, table: str, accepted: Iterable[Accepted]) -> None:
    """Copy the rows in the order of partition and key: two batches that overlap would else wait in a circle."""
    months: defaultdict[str, list[str]] = defaultdict(list)
    for row, _, _ in accepted:
        months[row.occurred_at[:7]].append("\t".join(row))
    content = io.BytesIO("\n".join(chain.from_iterable(sorted(months[name]) for name in sorted(months))).encode())
    with closing(connection.connection.cursor()) as cursor:
        cursor.copy_expert(_COPY.format(table=table), content, SLICE_BYTES)


def _mark(connection: Connection, accepted: Iterable[Accepted]) -> None:
    """Mark the days that the rows touch; one row speaks for all of its minute that are like it."""
    seen = {(community, f"{row.occurred_at[:16]}Z", row.event_type, row.actor_kind) for row, community, _ in accepted}
    names = ("community_id", "occurred_at", "event_type", "actor_kind")
    rows = [dict(zip(names, each, strict=True)) for each in seen]
    connection.execute(_MARK, {"seen": orjson.dumps(rows).decode()})


def _merge(connection: Connection, accepted: Sequence[Accepted]) -> tuple[Counter[str | None], list[DeadLetter]]:
    """Insert those rows that are not there yet, halving them until those that PostgreSQL rejects stand alone."""
    if not accepted:
        return Counter(), []
    try:
        with translated(), connection.begin_nested():
            connection.execute(_EMPTY)
            _copy(connection, "incoming", accepted)
            return Counter({row.import_id: row.events for row in connection.execute(_INSERT)}), []
    except Rejected as error:
        if len(accepted) == 1:
            (import_id,) = by_import(accepted)
            return Counter(), [DeadLetter.of(accepted[0].raw, "rejected", str(error), import_id)]
    half = len(accepted) // 2
    first, first_letters = _merge(connection, accepted[:half])
    second, second_letters = _merge(connection, accepted[half:])
    return first + second, [*first_letters, *second_letters]
