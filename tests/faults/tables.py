"""How the checker reads the tables: row by row, as of one moment, with nothing of the package."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import Any, Final, NamedTuple

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.faults.ledger import RAW_BYTES

ANSWER_SECONDS: Final = 5
EVENTS_AT_ONCE: Final = 5_000
LETTERS_AT_ONCE: Final = 200
"""Rows that are fetched at once: of letters each may hold 64 KiB."""

COLUMNS: Final = (
    "community_id",
    "occurred_at",
    "event_id",
    "platform",
    "event_type",
    "channel_id",
    "member_id",
    "object_id",
    "object_author_id",
    "actor_kind",
    "metadata",
)
"""What an event consists of: everything but how it came."""

EVENTS: Final = f"SELECT {', '.join(COLUMNS)} FROM participation_events"
LETTERS: Final = "SELECT id, reason, raw, raw_bytes, raw_sha256, replayed_at IS NOT NULL FROM dead_letters ORDER BY id"


class Letter(NamedTuple):
    """A row of `dead_letters`."""

    id: int
    reason: str
    raw: bytes
    raw_bytes: int
    raw_sha256: bytes
    replayed: bool

    def __str__(self) -> str:
        return f"dead letter {self.id} ({self.reason}, {self.raw_bytes} bytes)"

    def agrees(self) -> bool:
        """Whether length and hash are those of the raw, as far as that is kept."""
        if self.raw_bytes > RAW_BYTES:
            return len(self.raw) == RAW_BYTES
        return len(self.raw) == self.raw_bytes and sha256(self.raw).digest() == self.raw_sha256


@contextmanager
def reading(database_url: str) -> Iterator[Connection]:
    """Connect; each transaction sees everything as of one moment."""
    url = database_url.replace("postgresql+psycopg2://", "postgresql://", 1)
    with closing(psycopg2.connect(url, connect_timeout=ANSWER_SECONDS, options="-c timezone=UTC")) as connection:
        connection.set_session(isolation_level="REPEATABLE READ")
        yield connection


def rows(
    connection: Connection,
    query: str,
    values: Sequence[Any] | Mapping[str, Any] = (),
    at_once: int = EVENTS_AT_ONCE,
) -> Iterator[Any]:
    """Yield the rows of a query, without ever holding all of them."""
    with connection.cursor(f"rows_{time.monotonic_ns()}") as cursor:
        cursor.itersize = at_once
        cursor.execute(query, values)
        yield from cursor


def events(connection: Connection, condition: str = "", *values: Any) -> Iterator[dict[str, Any]]:
    """Yield the stored events."""
    for row in rows(connection, f"{EVENTS} {condition}", values):
        yield dict(zip(COLUMNS, row, strict=True))


def letters(connection: Connection) -> Iterator[Letter]:
    """Yield the dead letters, the oldest first."""
    for number, reason, raw, size, whole, replayed in rows(connection, LETTERS, at_once=LETTERS_AT_ONCE):
        yield Letter(number, reason, bytes(raw), size, bytes(whole), replayed)
