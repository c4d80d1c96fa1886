"""The counts of the events of each import and replay, by batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """How many events of an import were stored, were duplicates, became dead letters, or were discarded so far."""

    stored: int
    duplicates: int
    dead: int
    opted_out: int = 0
    deleted: int = 0
    ignored: int = 0

    @property
    def done(self) -> int:
        """The number of events that workers have processed."""
        return self.stored + self.duplicates + self.dead + self.opted_out + self.deleted + self.ignored


_INSERT_IMPORT_COUNTS = text("""
INSERT INTO import_counts (import_id, batch_id, stored, duplicates, dead, opted_out, deleted, ignored)
VALUES (:import_id, :batch_id, :stored, :duplicates, :dead, :opted_out, :deleted, :ignored)
""")

_SELECT_IMPORT_COUNTS = text("""
SELECT coalesce(sum(stored), 0), coalesce(sum(duplicates), 0), coalesce(sum(dead), 0), coalesce(sum(opted_out), 0),
    coalesce(sum(deleted), 0), coalesce(sum(ignored), 0)
FROM import_counts WHERE import_id = :import_id
""")


def insert(connection: Connection, batch_id: str, by_import: Mapping[str, Mapping[str, int]]) -> None:
    """Store the counts of a batch for each import in it. The caller commits."""
    if by_import:
        rows = [{"import_id": name, "batch_id": batch_id, **counts} for name, counts in by_import.items()]
        connection.execute(_INSERT_IMPORT_COUNTS, rows)


def read_import_counts(connection: Connection, import_id: UUID) -> ImportCounts:
    """Return the counts of the import so far."""
    return ImportCounts(*connection.execute(_SELECT_IMPORT_COUNTS, {"import_id": import_id}).one())
