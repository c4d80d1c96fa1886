"""The spool: a file on the bot's disk with the items that Redis has not acknowledged.

The publisher adds items while Redis does not answer, and sends and removes the oldest ones when it does. One process
owns a file and keeps it locked while it is open. The next publisher finds the files of processes that no longer run.
"""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self
from uuid import uuid4

from participation import keys, private_files

SUFFIX: Final = ".spool"

PAGE_BYTES: Final = 4096

_DAMAGED: Final = ("SQLITE_NOTADB", "SQLITE_CORRUPT")

# EXCLUSIVE: SQLite keeps other processes out from the first statement until the file is closed. secure_delete: removed
# items are overwritten, because a member may have asked for erasure.
_PREPARE: Final = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA max_page_count = {pages};
CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, list TEXT NOT NULL, argument BLOB NOT NULL, task TEXT);
"""

# Older versions wrote files without `task`. They read files with it, too, and send every item as an event; a worker
# then makes a dead letter of a notice, which can be replayed.
_SELECT_COLUMNS: Final = "SELECT name FROM pragma_table_info('items')"
_ADD_TASK: Final = "ALTER TABLE items ADD COLUMN task TEXT"
_INSERT_ITEM: Final = "INSERT INTO items (list, argument, task) VALUES ('participation.events', ?, ?)"
_SELECT_ITEMS: Final = "SELECT id, argument, task, list FROM items WHERE id > ? ORDER BY id LIMIT ?"


_TASKS: Final = {keys.EVENTS: keys.TRACK_EVENT, keys.NIGHTLY: keys.NOTE_PRESENCE}
"""The task of an item that an older version wrote, by its list."""


class Item(NamedTuple):
    """A message to send: the only argument of a task, as JSON, and the task, one of `message.ARGUMENTS`."""

    argument: bytes
    task: str = keys.TRACK_EVENT


class Spool:
    """A file of items, in order, that outlives the process. Only one thread may use it at a time.

    Every method raises `sqlite3.Error` or `OSError` if the disk fails. The items in the file stay there.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        """Open an existing file. Raises `sqlite3.Error` or `OSError` while another process uses it."""
        self.path = path
        self.length = 0
        # The last item that was removed but is still in the file, because the disk was full.
        self._removed = 0
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", timeout=0, isolation_level=None, uri=True, check_same_thread=False
        )
        try:
            self._connection.executescript(_PREPARE.format(pages=max(8, most_bytes // PAGE_BYTES)))
            if ("task",) not in self._connection.execute(_SELECT_COLUMNS).fetchall():
                self._connection.execute(_ADD_TASK)
            self.length = int(self._connection.execute("SELECT count(*) FROM items").fetchone()[0])
            path.stat()  # raises if its owner has just deleted it
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def create(cls, folder: Path, most_bytes: int) -> Self:
        """Create a file that only the user of this process may read."""
        private_files.make_folder(folder)
        # The name begins with the time, so that older files are sent first.
        path = folder / f"{time.time_ns()}-{uuid4().hex}{SUFFIX}"
        private_files.make_file(path)
        return cls(path, most_bytes)

    def append(self, items: Sequence[Item]) -> None:
        """Add the items, all or none; when this returns, they are on the disk."""
        with closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.executemany(_INSERT_ITEM, items)
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite rolls back by itself when the disk is full
                    cursor.execute("ROLLBACK")
                raise
        self.length += len(items)

    def first(self, count: int) -> tuple[int, list[Item]]:
        """Return the oldest items, and the number that `remove` takes to remove them."""
        rows = self._connection.execute(_SELECT_ITEMS, (self._removed, count)).fetchall()
        items = [Item(argument, task or _TASKS[name]) for _, argument, task, name in rows]
        return rows[-1][0] if rows else 0, items

    def remove(self, last: int) -> None:
        """Remove the items up to `last`. If this raises, `first` still skips those items while the file is open."""
        query = "SELECT count(*) FROM items WHERE id > ? AND id <= ?"
        self.length -= self._connection.execute(query, (self._removed, last)).fetchone()[0]
        self._removed = max(self._removed, last)
        self._connection.execute("DELETE FROM items WHERE id <= ?", (self._removed,))
        # SQLite starts the numbers again at 1 when the table is empty.
        self._removed = 0

    def close(self) -> None:
        """Close the file, and delete it if it is empty."""
        try:
            if not self.length:
                with suppress(sqlite3.Error):  # a full disk
                    self._connection.execute("PRAGMA journal_mode = DELETE")  # also deletes the WAL file
                # Deleted while it is still locked, so that no other process opens it.
                self.path.unlink(missing_ok=True)
                self.path.with_name(f"{self.path.name}-wal").unlink(missing_ok=True)
        finally:
            self._connection.close()

    def set_aside(self) -> None:
        """Close a damaged file and rename it. The items that are left in it are kept."""
        self._connection.close()
        set_aside(self.path)


def is_damage(error: Exception) -> bool:
    """Return whether the file itself is damaged, so that a retry will not help."""
    return getattr(error, "sqlite_errorname", "").startswith(_DAMAGED)


def set_aside(path: Path) -> None:
    """Rename a damaged file and its WAL file, so that no process opens it again."""
    damaged = path.with_suffix(".damaged")
    path.rename(damaged)
    with suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").rename(damaged.with_name(f"{damaged.name}-wal"))


def abandoned(folder: Path, most_bytes: int) -> list[Spool]:
    """Open the files that no process owns; return them, the oldest first. Damaged files are only renamed."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            found.append(Spool(path, most_bytes))
        except (sqlite3.Error, OSError) as error:
            if is_damage(error):
                set_aside(path)
    return found
