"""Rows of events: writes them for COPY, and inserts them into `participation_events` in one of two ways."""

import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import chain
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Connection, text

from participation import message
from participation.errors import Rejected
from participation.mentions import Mentions
from participation.store.database import translated
from participation.store.days import calendar, non_users
from participation.store.days.non_users import NonUser
from participation.store.dead_letters import NewDeadLetter

SLICE_BYTES: Final = 262_144
"""Number of bytes of a COPY that the driver reads at once."""

Source = tuple[str | None, str | None]
"""The key of a count: a community_id and an import_id. None if the event has none that can be read."""

NULL: Final = "\\N"
"""NULL in PostgreSQL's text format."""

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


_ESCAPE: Final = re.compile(r"\\(.)")
_UNESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r"}


class Row(NamedTuple):
    """A valid event in PostgreSQL's text format, each value as `copy_text` writes it. The fields are the columns.

    occurred_at: as `event.format_time` writes it. event_id: 32 hexadecimal digits.
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


def copy_text(value: str | None) -> str:
    """Write a value in PostgreSQL's text format, for COPY."""
    return NULL if value is None else value.translate(_ESCAPES)


def unescaped(value: str) -> str:
    """Reverse `copy_text` for a value that is not NULL."""
    return _ESCAPE.sub(lambda found: _UNESCAPED.get(found[1], found[1]), value) if "\\" in value else value


class Accepted(NamedTuple):
    """A row, its community without escapes, and the list element that it was read from.

    is_author_removed: the author opted out and was removed from the row, but `raw` still names the author.
    """

    row: Row
    community_id: str
    raw: bytes
    is_author_removed: bool = False


_COLUMNS: Final = ", ".join(Row._fields)

_COPY_EVENTS: Final = f"COPY {{table}} ({_COLUMNS}) FROM STDIN WITH (ENCODING 'UTF8')"

_SEEN_ROWS: Final = """
json_to_recordset(CAST(:seen AS json))
    AS seen (community_id text, occurred_at timestamptz, event_type text, actor_kind text)
"""

_MARK_SEEN_DAYS = text(f"""
INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source=_SEEN_ROWS)}
""")

_CREATE_INCOMING = text("""
CREATE TEMPORARY TABLE IF NOT EXISTS incoming
(LIKE participation_events INCLUDING DEFAULTS) ON COMMIT DELETE ROWS
""")

_EMPTY_INCOMING = text("DELETE FROM incoming")

# In the order of `_copy`, with any collation of the database. Only control characters in an id sort differently.
_INSERT_INCOMING = text(f"""
WITH stored AS (
    INSERT INTO participation_events ({_COLUMNS})
    SELECT {_COLUMNS} FROM incoming
    ORDER BY date_trunc('month', occurred_at), community_id COLLATE "C", occurred_at, event_id
    ON CONFLICT DO NOTHING
    RETURNING community_id, occurred_at, event_type, actor_kind, import_id
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source="stored")}
)
SELECT community_id, CAST(import_id AS text) AS import_id, count(*) AS events FROM stored
GROUP BY community_id, import_id
""")


def insert(
    connection: Connection, accepted: Sequence[Accepted], *, all_new: bool
) -> tuple[Counter[Source], list[NewDeadLetter]]:
    """Insert the rows and mark their days; return how many were new, by source, and letters for the rejected rows.

    all_new: first try to insert them as if none were stored yet, which takes half the time. The caller has created the
    partitions and communities, and commits.
    """
    if all_new and accepted and _try_copy(connection, accepted):
        _note_non_users(connection, accepted)
        return by_source(accepted), []
    connection.execute(_CREATE_INCOMING)
    stored, rejected = _merge(connection, accepted)
    # After all events: no batch waits for events of another while it holds the lock that this may take.
    refused = {id(item) for item, _ in rejected}
    _note_non_users(connection, (item for item in accepted if id(item) not in refused))
    return stored, [_rejected(*each) for each in rejected]


def _try_copy(connection: Connection, accepted: Sequence[Accepted]) -> bool:
    """Insert all rows and mark their days; return False, and change nothing, if PostgreSQL rejects one of them."""
    try:
        with translated(), connection.begin_nested():
            _copy(connection, "participation_events", accepted)
            _mark(connection, accepted)
            return True
    except Rejected:
        return False  # a row is stored already, occurs twice in the batch, or is not valid for PostgreSQL


def _note_non_users(connection: Connection, accepted: Iterable[Accepted]) -> None:
    others = ((community, row) for row, community, *_ in accepted if row.actor_kind != "user")
    found = {NonUser(community, row.platform, unescaped(row.member_id)) for community, row in others}
    non_users.note(connection, found)


def by_source(accepted: Iterable[Accepted]) -> Counter[Source]:
    """Count the rows of each community and import."""
    return Counter(map(_source, accepted))


def last_times(accepted: Iterable[Accepted]) -> dict[str, str]:
    """Return the time of the last event of each community, as in `Row`."""
    last: dict[str, str] = {}
    for row, community_id, *_ in accepted:
        if row.occurred_at > last.get(community_id, ""):
            last[community_id] = row.occurred_at
    return last


def _source(item: Accepted) -> Source:
    import_id = item.row.import_id
    return item.community_id, None if import_id == NULL else import_id


def _copy(connection: Connection, table: str, accepted: Iterable[Accepted]) -> None:
    """Copy the rows in the order of partition and key. Otherwise two overlapping batches could deadlock."""
    months: defaultdict[str, list[str]] = defaultdict(list)
    for row, *_ in accepted:
        months[row.occurred_at[:7]].append("\t".join(row))
    content = io.BytesIO("\n".join(chain.from_iterable(sorted(months[name]) for name in sorted(months))).encode())
    with closing(connection.connection.cursor()) as cursor:
        cursor.copy_expert(_COPY_EVENTS.format(table=table), content, SLICE_BYTES)


def _mark(connection: Connection, accepted: Iterable[Accepted]) -> None:
    """Mark the days on which the rows count. One row is enough for all similar rows of the same minute."""
    seen = {(community, f"{row.occurred_at[:16]}Z", row.event_type, row.actor_kind) for row, community, *_ in accepted}
    names = ("community_id", "occurred_at", "event_type", "actor_kind")
    rows = [dict(zip(names, each, strict=True)) for each in seen]
    connection.execute(_MARK_SEEN_DAYS, {"seen": orjson.dumps(rows).decode()})


def _merge(connection: Connection, accepted: Sequence[Accepted]) -> tuple[Counter[Source], list[tuple[Accepted, str]]]:
    """Insert the rows that are not stored yet; return how many were new, and the rejected rows with the reason.

    If PostgreSQL rejects a row, split them until it is alone.
    """
    if not accepted:
        return Counter(), []
    try:
        with translated(), connection.begin_nested():
            connection.execute(_EMPTY_INCOMING)
            _copy(connection, "incoming", accepted)
            rows = connection.execute(_INSERT_INCOMING)
            return Counter({(row.community_id, row.import_id): row.events for row in rows}), []
    except Rejected as error:
        if len(accepted) == 1:
            return Counter(), [(accepted[0], str(error))]
    half = len(accepted) // 2
    first, first_rejected = _merge(connection, accepted[:half])
    second, second_rejected = _merge(connection, accepted[half:])
    return first + second, [*first_rejected, *second_rejected]


def _rejected(item: Accepted, detail: str) -> NewDeadLetter:
    community_id, import_id = _source(item)
    raw = _without_author(item.raw) if item.is_author_removed else item.raw
    return NewDeadLetter.of(raw, "rejected", detail, import_id, Mentions(community_id, (), None))


def _without_author(raw: bytes) -> bytes:
    """Encode the message again, without the author of the message that its member reacted to."""
    found = message.decode(raw)
    given = found.argument
    payload = {**given, "object_author_id": None} if isinstance(given, dict) else given
    return message.encode(payload, found.import_id)
