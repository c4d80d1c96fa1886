"""Dead letters: looking at them, marking those that are sent again, deleting them. `events` writes them."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, text

from participation.errors import ConfigError

FETCHED: Final = 200
"""Letters that are in memory at a time while many are read; each is up to 64 KiB long."""

_COLUMNS: Final = "id, received_at, reason, detail, raw, raw_bytes, raw_sha256, batch_id, replayed_at"

# The driver writes the values into the text, so that the planner sees which conditions are none.
_CHOSEN: Final = """
    (CAST(:ids AS bigint[]) IS NULL OR id = ANY(CAST(:ids AS bigint[])))
    AND (CAST(:reason AS text) IS NULL OR reason = :reason)
    AND (CAST(:batch_id AS text) IS NULL OR batch_id = :batch_id)
    AND (CAST(:since AS timestamptz) IS NULL OR received_at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR received_at < :until)
    AND (CAST(:replayed AS boolean) IS NULL OR (replayed_at IS NOT NULL) = :replayed)
"""

_NEWEST = text(f"SELECT {_COLUMNS} FROM dead_letters WHERE {_CHOSEN} ORDER BY id DESC LIMIT :limit")

_ONE = text(f"SELECT {_COLUMNS} FROM dead_letters WHERE id = :id")

_REASONS = text(f"""
SELECT reason, count(*) FROM dead_letters WHERE {_CHOSEN} GROUP BY reason ORDER BY count(*) DESC, reason
""")

_KNOWN = text("SELECT id FROM dead_letters WHERE id = ANY(:ids)")

_SCOPE = text(f"SELECT count(*) AS letters, coalesce(max(id), 0) AS last_id FROM dead_letters WHERE {_CHOSEN}")

# What another replay has in hand is skipped: it marks what it sends when it commits.
_TAKE = text(f"""
SELECT {_COLUMNS} FROM dead_letters
WHERE {_CHOSEN} AND id > :after AND id <= :last_id
ORDER BY id LIMIT :limit
FOR UPDATE SKIP LOCKED
""")

_MARK = text("UPDATE dead_letters SET replayed_at = now() WHERE id = ANY(CAST(:ids AS bigint[]))")

_FOLLOWING = text(f"SELECT {_COLUMNS} FROM dead_letters WHERE id > :after ORDER BY id LIMIT :limit")

_DELETE = text("DELETE FROM dead_letters WHERE id = ANY(CAST(:ids AS bigint[]))")

_PURGE = text(f"""
DELETE FROM dead_letters
WHERE id IN (SELECT id FROM dead_letters WHERE {_CHOSEN} ORDER BY received_at LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters: those that meet every condition; None is no condition.

    since, until: received in [since, until). replayed: True for those that were sent again, False for the others.
    """

    ids: tuple[int, ...] | None = None
    reason: str | None = None
    batch_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    replayed: bool | None = False

    def values(self, **more: object) -> dict[str, object]:
        """Return what the queries take."""
        return {**asdict(self), "ids": None if self.ids is None else list(self.ids), **more}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that could not be stored. `raw` is its beginning where it was cut off."""

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


class Scope(NamedTuple):
    """How many letters a choice holds at one moment, and the highest id among them."""

    letters: int
    last_id: int


def newest(connection: Connection, choice: Choice, limit: int) -> Iterator[Letter]:
    """Yield the newest of the chosen letters, the newest first."""
    rows = connection.execute(_NEWEST, choice.values(limit=limit), execution_options={"yield_per": FETCHED})
    yield from map(_letter, rows)


def get(connection: Connection, letter_id: int) -> Letter:
    """Return one letter. Raises `ConfigError` if there is none of this id."""
    row = connection.execute(_ONE, {"id": letter_id}).one_or_none()
    if row is None:
        raise _unknown([letter_id])
    return _letter(row)


def reasons(connection: Connection, choice: Choice) -> dict[str, int]:
    """Count the chosen letters by reason, the most frequent first."""
    return dict(tuple(row) for row in connection.execute(_REASONS, choice.values()))


def require(connection: Connection, ids: Collection[int]) -> None:
    """Raise `ConfigError` unless there is a letter of each id."""
    missing = set(ids) - set(connection.scalars(_KNOWN, {"ids": list(ids)}))
    if missing:
        raise _unknown(sorted(missing))


def scope(connection: Connection, choice: Choice) -> Scope:
    """Return what the choice holds now. What comes later has a higher id."""
    return Scope(*connection.execute(_SCOPE, choice.values()).one())


def take(connection: Connection, choice: Choice, after: int, last_id: int, limit: int) -> list[Letter]:
    """Return the first of the chosen letters with an id in (after, last_id], locked until the caller commits.

    Letters that somebody else has locked are left out.
    """
    values = choice.values(after=after, last_id=last_id, limit=limit)
    return [_letter(row) for row in connection.execute(_TAKE, values)]


def mark(connection: Connection, ids: Collection[int]) -> None:
    """Note that these letters were sent again. The caller commits."""
    connection.execute(_MARK, {"ids": list(ids)})


def purge(connection: Connection, choice: Choice, limit: int) -> int:
    """Delete the oldest of the chosen letters; return how many. The caller commits."""
    return connection.execute(_PURGE, choice.values(limit=limit)).rowcount


def following(connection: Connection, after: int, limit: int) -> list[Letter]:
    """Return the first letters with an id above `after`."""
    return [_letter(row) for row in connection.execute(_FOLLOWING, {"after": after, "limit": limit})]


def delete(connection: Connection, ids: Collection[int]) -> int:
    """Delete these letters; return how many there were. The caller commits."""
    return connection.execute(_DELETE, {"ids": list(ids)}).rowcount


def _letter(row: Row[Any]) -> Letter:
    values = row._mapping
    return Letter(**{**values, "raw": bytes(values["raw"]), "raw_sha256": bytes(values["raw_sha256"])})


def _unknown(ids: Collection[int]) -> ConfigError:
    named = ", ".join(map(str, ids))
    return ConfigError(f"there is no dead letter {named}: see `participation dead-letters list --all`")
