"""Dead letters: writes, reads, marks as sent again, and deletes them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple, Self

from sqlalchemy import Connection, Engine, Row, text

from participation.accounts import Account
from participation.errors import ConfigError
from participation.mentions import NO_MENTIONS, Mentions
from participation.store.database import transaction

PAGE: Final = 200
"""Number of letters in memory at a time while many are read. Each is up to 64 KiB long."""

RAW_BYTES: Final = 65_536
"""Maximum number of bytes of a list element that are stored. Its full length and its hash are stored too."""

DETAIL_CHARACTERS: Final = 2_000

_COLUMNS: Final = "id, received_at, reason, detail, raw, raw_bytes, raw_sha256, batch_id, replayed_at"

_INSERT_LETTERS = text("""
INSERT INTO dead_letters (reason, detail, raw, raw_bytes, raw_sha256, batch_id)
VALUES (:reason, :detail, :raw, :raw_bytes, :raw_sha256, :batch_id)
""")

# psycopg2 writes the values into the statement, so the planner sees which conditions are NULL.
_IS_CHOSEN: Final = """
    (CAST(:ids AS bigint[]) IS NULL OR id = ANY(CAST(:ids AS bigint[])))
    AND (CAST(:reason AS text) IS NULL OR reason = :reason)
    AND (CAST(:batch_id AS text) IS NULL OR batch_id = :batch_id)
    AND (CAST(:since AS timestamptz) IS NULL OR received_at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR received_at < :until)
    AND (CAST(:replayed AS boolean) IS NULL OR (replayed_at IS NOT NULL) = :replayed)
"""

_SELECT_NEWEST_LETTERS = text(f"SELECT {_COLUMNS} FROM dead_letters WHERE {_IS_CHOSEN} ORDER BY id DESC LIMIT :limit")

_SELECT_LETTER = text(f"SELECT {_COLUMNS} FROM dead_letters WHERE id = :id")

_COUNT_REASONS = text(f"""
SELECT reason, count(*) FROM dead_letters WHERE {_IS_CHOSEN} GROUP BY reason ORDER BY count(*) DESC, reason
""")

_SELECT_KNOWN_LETTER_IDS = text("SELECT id FROM dead_letters WHERE id = ANY(:ids)")

_SELECT_SCOPE = text(
    f"SELECT count(*) AS letters, coalesce(max(id), 0) AS last_id FROM dead_letters WHERE {_IS_CHOSEN}"
)

# Letters that another replay is sending are skipped. That replay marks them when it commits.
_LOCK_LETTERS = text(f"""
SELECT {_COLUMNS} FROM dead_letters
WHERE {_IS_CHOSEN} AND id > :after AND id <= :last_id
ORDER BY id LIMIT :limit
FOR UPDATE SKIP LOCKED
""")

_MARK_REPLAYED = text("UPDATE dead_letters SET replayed_at = now() WHERE id = ANY(CAST(:ids AS bigint[]))")

_SELECT_FOLLOWING_LETTERS = text(f"SELECT {_COLUMNS} FROM dead_letters WHERE id > :after ORDER BY id LIMIT :limit")

_DELETE_LETTERS = text("DELETE FROM dead_letters WHERE id = ANY(CAST(:ids AS bigint[]))")

_PURGE_LETTERS = text(f"""
DELETE FROM dead_letters
WHERE id IN (SELECT id FROM dead_letters WHERE {_IS_CHOSEN} ORDER BY received_at LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of letters: those that meet every condition. None means no condition.

    since, until: received in [since, until). replayed: True for letters that were sent again, False for the others.
    """

    ids: tuple[int, ...] | None = None
    reason: str | None = None
    batch_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    replayed: bool | None = False

    def values(self, **more: object) -> dict[str, object]:
        """Return the parameters of the queries."""
        return {**asdict(self), "ids": None if self.ids is None else list(self.ids), **more}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be stored. raw: the message, or only its beginning."""

    id: int
    received_at: datetime
    reason: str
    detail: str
    raw: bytes
    raw_bytes: int
    raw_sha256: bytes
    batch_id: str
    replayed_at: datetime | None

    @property
    def is_cut_off(self) -> bool:
        return len(self.raw) < self.raw_bytes


class NewDeadLetter(NamedTuple):
    """A list element that cannot be stored as an event: the code of the reason, what is wrong, and the element.

    The other fields are not stored, but used for counts, opt-outs and ignored channels: import_id, community_id, and
    the accounts, the time and the channels of the event. They are empty if they cannot be read.
    """

    reason: str
    detail: str
    raw: bytes
    raw_bytes: int
    raw_sha256: bytes
    import_id: str | None
    community_id: str | None = None
    accounts: tuple[Account, ...] = ()
    occurred_at: datetime | None = None
    channels: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: bytes, reason: str, detail: str, import_id: str | None, mentions: Mentions = NO_MENTIONS) -> Self:
        # The detail may quote the input, which can contain characters that PostgreSQL's `text` cannot store.
        storable = detail.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
        head, digest = raw[:RAW_BYTES], sha256(raw).digest()
        return cls(reason, storable[:DETAIL_CHARACTERS], head, len(raw), digest, import_id, *mentions)

    @property
    def source(self) -> tuple[str | None, str | None]:
        """The community and the import for which the letter is counted."""
        return self.community_id, self.import_id


class Scope(NamedTuple):
    """The number of chosen letters at one time, and the highest id among them."""

    letters: int
    last_id: int


def insert(connection: Connection, batch_id: str, letters: Sequence[NewDeadLetter]) -> None:
    """Store the letters of a batch. The caller commits."""
    if letters:
        connection.execute(_INSERT_LETTERS, [{**letter._asdict(), "batch_id": batch_id} for letter in letters])


def newest(connection: Connection, choice: Choice, limit: int) -> Iterator[DeadLetter]:
    """Yield the newest of the chosen letters, the newest first."""
    rows = connection.execute(_SELECT_NEWEST_LETTERS, choice.values(limit=limit), execution_options={"yield_per": PAGE})
    yield from map(_letter, rows)


def get(connection: Connection, letter_id: int) -> DeadLetter:
    """Return one letter. Raises `ConfigError` if no letter has this id."""
    row = connection.execute(_SELECT_LETTER, {"id": letter_id}).one_or_none()
    if row is None:
        raise _unknown([letter_id])
    return _letter(row)


def reasons(connection: Connection, choice: Choice) -> dict[str, int]:
    """Count the chosen letters by reason, the most frequent first."""
    return dict(tuple(row) for row in connection.execute(_COUNT_REASONS, choice.values()))


def require(connection: Connection, ids: Collection[int]) -> None:
    """Raise `ConfigError` unless each id has a letter."""
    missing = set(ids) - set(connection.scalars(_SELECT_KNOWN_LETTER_IDS, {"ids": list(ids)}))
    if missing:
        raise _unknown(sorted(missing))


def scope(connection: Connection, choice: Choice) -> Scope:
    """Return how many letters are chosen now, and their highest id. Later letters have higher ids."""
    return Scope(*connection.execute(_SELECT_SCOPE, choice.values()).one())


def lock_letters(connection: Connection, choice: Choice, after: int, last_id: int, limit: int) -> list[DeadLetter]:
    """Return the first of the chosen letters with an id in (after, last_id], locked until the caller commits.

    Letters that another transaction has locked are left out.
    """
    values = choice.values(after=after, last_id=last_id, limit=limit)
    return [_letter(row) for row in connection.execute(_LOCK_LETTERS, values)]


def mark_replayed(connection: Connection, ids: Collection[int]) -> None:
    """Mark these letters as sent again. The caller commits."""
    connection.execute(_MARK_REPLAYED, {"ids": list(ids)})


def purge(connection: Connection, choice: Choice, limit: int) -> int:
    """Delete the oldest of the chosen letters; return how many. The caller commits."""
    return connection.execute(_PURGE_LETTERS, choice.values(limit=limit)).rowcount


def pages(read_page: Callable[[int], list[DeadLetter]]) -> Iterator[list[DeadLetter]]:
    """Yield letters page by page, in the order of their ids.

    read_page: returns the first letters with an id above its argument, or an empty list at the end.
    """
    after = 0
    while page := read_page(after):
        yield page
        after = page[-1].id


def following(connection: Connection, after: int) -> list[DeadLetter]:
    """Return the first `PAGE` letters with an id above `after`."""
    return [_letter(row) for row in connection.execute(_SELECT_FOLLOWING_LETTERS, {"after": after, "limit": PAGE})]


def delete(connection: Connection, ids: Collection[int]) -> int:
    """Delete these letters; return how many were deleted. The caller commits."""
    return connection.execute(_DELETE_LETTERS, {"ids": list(ids)}).rowcount


def delete_where(engine: Engine, is_wanted: Callable[[bytes], bool]) -> int:
    """Delete the letters whose message fulfils `is_wanted`; return how many.

    Reads every letter. Each page is read in a transaction of its own, and deleted in another one.
    """

    def read_page(after: int) -> list[DeadLetter]:
        with transaction(engine) as connection:
            return following(connection, after)

    deleted = 0
    for page in pages(read_page):
        if ids := [letter.id for letter in page if is_wanted(letter.raw)]:
            with transaction(engine) as connection:
                deleted += delete(connection, ids)
    return deleted


def _letter(row: Row[Any]) -> DeadLetter:
    values = row._mapping
    return DeadLetter(**{**values, "raw": bytes(values["raw"]), "raw_sha256": bytes(values["raw_sha256"])})


def _unknown(ids: Collection[int]) -> ConfigError:
    named = ", ".join(map(str, ids))
    return ConfigError(f"there is no dead letter {named}: see `participation dead-letters list --all`")
