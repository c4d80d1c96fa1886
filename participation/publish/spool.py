"""The spool: a file on the bot's disk with what Redis has not acknowledged.

The publisher puts items in when Redis does not answer, and takes them out, the oldest first, when it does. Each file
has one owner, who holds it locked while it is open; the file of a process that is gone is found by the next publisher.
"""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self
from uuid import uuid4

SUFFIX: Final = ".spool"

PAGE_BYTES: Final = 4096

_DAMAGED: Final = ("SQLITE_NOTADB", "SQLITE_CORRUPT")

# Locked from the first statement on, and for as long as it is open: SQLite itself keeps everybody else out. What is
# taken out is overwritten: a member may have asked to be forgotten.
_PREPARE: Final = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA max_page_count = {pages};
CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, list TEXT NOT NULL, argument BLOB NOT NULL);
"""


class Item(NamedTuple):
    """What is to be sent: the Redis list that it goes to, and the one argument of its task, as JSON."""

    list: str
    argument: bytes


class Spool:
    """A file of items, in their order, that survives the process. Not for two threads at once.

    Every method raises `sqlite3.Error` or `OSError` when the disk does; what was in the file stays in it.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        """Open the file that is there; raise `sqlite3.Error` or `OSError` while somebody else has it."""
        self.path = path
        self.length = 0
        # What is removed and still in the file, because the disk was full.
        self._removed = 0
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", timeout=0, isolation_level=None, uri=True, check_same_thread=False
        )
        try:
            self._connection.executescript(_PREPARE.format(pages=max(8, most_bytes // PAGE_BYTES)))
            self.length = int(self._connection.execute("SELECT count(*) FROM items").fetchone()[0])
            path.stat()  # raises if its owner has just emptied and deleted it
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def create(cls, folder: Path, most_bytes: int) -> Self:
        """Make a new file, which nobody but this account may read."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # By the time first, so that the files are emptied in the order in which they were made.
        path = folder / f"{time.time_ns()}-{uuid4().hex}{SUFFIX}"
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return cls(path, most_bytes)

    def append(self, items: Sequence[Item]) -> None:
        """Add the items, all or none; when this returns, they are on the disk."""
        with closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.executemany("INSERT INTO items (list, argument) VALUES (?, ?)", items)
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    cursor.execute("ROLLBACK")
                raise
        self.length += len(items)

    def first(self, count: int) -> tuple[int, list[Item]]:
        """Return the oldest items, and the number under which `remove` removes them."""
        query = "SELECT id, list, argument FROM items WHERE id > ? ORDER BY id LIMIT ?"
        rows = self._connection.execute(query, (self._removed, count)).fetchall()
        return rows[-1][0] if rows else 0, [Item(*row[1:]) for row in rows]

    def remove(self, last: int) -> None:
        """Remove what `first` returned. If that raises, `first` does not return it again while the file is open."""
        query = "SELECT count(*) FROM items WHERE id > ? AND id <= ?"
        self.length -= self._connection.execute(query, (self._removed, last)).fetchone()[0]
        self._removed = max(self._removed, last)
        self._connection.execute("DELETE FROM items WHERE id <= ?", (self._removed,))
        # SQLite begins with the numbers anew when the table is empty.
        self._removed = 0

    def close(self) -> None:
        """Give the file up, and delete it if nothing is left in it."""
        try:
            if not self.length:
                with suppress(sqlite3.Error):  # a full disk
                    self._connection.execute("PRAGMA journal_mode = DELETE")  # its own file goes with that
                # While it is still locked: whoever opens it now learns that it is gone.
                self.path.unlink(missing_ok=True)
                self.path.with_name(f"{self.path.name}-wal").unlink(missing_ok=True)
        finally:
            self._connection.close()

    def set_aside(self) -> None:
        """Give a damaged file up, and keep what is left in it under another name."""
        self._connection.close()
        set_aside(self.path)


def is_damage(error: Exception) -> bool:
    """Whether the file is to blame, and no later try will do better."""
    return getattr(error, "sqlite_errorname", "").startswith(_DAMAGED)


def set_aside(path: Path) -> None:
    """Rename a damaged file and what SQLite keeps beside it, so that nobody opens it any more."""
    damaged = path.with_suffix(".damaged")
    path.rename(damaged)
    with suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").rename(damaged.with_name(f"{damaged.name}-wal"))


def abandoned(folder: Path, most_bytes: int) -> list[Spool]:
    """Open the files that no process owns, the oldest first; one that is damaged is set aside under another name."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            found.append(Spool(path, most_bytes))
        except (sqlite3.Error, OSError) as error:
            if is_damage(error):
                set_aside(path)
    return found
