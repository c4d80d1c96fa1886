"""The spool as a file: what goes in comes out in its order, one owner at a time, and nothing is left of it."""

import sqlite3
import subprocess
import sys
from collections import deque
from contextlib import closing
from itertools import repeat
from pathlib import Path

import pytest

from participation import keys
from participation.publish.spool import Item, Spool, abandoned
from tests.worker import SECONDS

BYTES = 1_000_000

ITEMS = [Item(b"%d" % number) for number in range(7)]


def test_spool__gives_back_the_oldest_first(tmp_path: Path) -> None:
    """Items come out in the order in which they went in, and stay until they are removed."""
    spool = Spool.create(tmp_path / "new" / "folder", BYTES)
    spool.append(ITEMS[:3])
    spool.append(ITEMS[3:])
    last, first = spool.first(4)
    assert first == ITEMS[:4]
    assert spool.first(4) == (last, first)
    spool.remove(last)
    assert (spool.length, spool.first(4)[1]) == (3, ITEMS[4:])
    spool.close()
    (again,) = abandoned(spool.path.parent, BYTES)
    assert (again.path, again.length, again.first(9)[1]) == (spool.path, 3, ITEMS[4:])
    again.close()


def test_spool__is_private(tmp_path: Path) -> None:
    """Nobody but the account that made them may read the folder and the files in it."""
    spool = Spool.create(tmp_path / "spool", BYTES)
    spool.append(ITEMS)
    modes = {path.stat().st_mode & 0o777 for path in spool.path.parent.iterdir()}
    assert (spool.path.parent.stat().st_mode & 0o777, modes) == (0o700, {0o600})
    spool.close()


def test_spool__has_one_owner(tmp_path: Path) -> None:
    """While it is open, neither this process nor another one can open it; what it holds is left alone."""
    spool = Spool.create(tmp_path, BYTES)
    spool.append(ITEMS)
    assert abandoned(tmp_path, BYTES) == []
    look = f"from participation.publish.spool import *; print(abandoned(Path({str(tmp_path)!r}), {BYTES}))"
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, timeout=SECONDS)
    assert seen.stdout == b"[]\n"
    assert spool.first(9)[1] == ITEMS
    spool.close()


def test_spool__what_is_removed_is_nowhere_on_the_disk(tmp_path: Path) -> None:
    """Not in free pages and not in the journal: neither while the file is there, nor when an empty one is closed."""
    spool = Spool.create(tmp_path, BYTES)
    spool.append([Item(b"secret-%d" % number) for number in range(2_000)])
    last, _ = spool.first(1_999)
    spool.remove(last)
    spool.close()
    assert [path.read_bytes().count(b"secret") for path in tmp_path.iterdir()] == [1]
    (spool,) = abandoned(tmp_path, BYTES)
    spool.remove(last + 1)
    spool.close()
    assert [*tmp_path.iterdir()] == []


def test_spool__is_full_at_its_limit_and_keeps_what_it_has(tmp_path: Path) -> None:
    """What does not fit is refused as a whole; there is room again when something has gone."""
    spool = Spool.create(tmp_path, BYTES)
    chunk = [Item(bytes(1_000))] * 100
    with pytest.raises(sqlite3.OperationalError, match="full"):
        deque(map(spool.append, repeat(chunk, 20)), maxlen=0)
    assert 700 <= spool.length < 1_000
    assert spool.length % 100 == 0
    assert spool.path.stat().st_size <= BYTES
    kept = spool.length
    spool.remove(spool.first(300)[0])
    spool.append(chunk)
    assert spool.length == kept - 200 == len(spool.first(10_000)[1])
    spool.close()


def test_abandoned__damaged_file_is_set_aside(tmp_path: Path) -> None:
    """A file that is no spool does not stop the others, and is kept for whoever wants to look at it."""
    (tmp_path / "1.spool").write_bytes(b"not a database, and long enough to be seen as none" * 10)
    spool = Spool.create(tmp_path, BYTES)
    spool.append(ITEMS)
    spool.close()
    (found,) = abandoned(tmp_path, BYTES)
    assert found.first(9)[1] == ITEMS
    assert (tmp_path / "1.damaged").exists()
    found.close()


def test_abandoned__empty_folder_and_none(tmp_path: Path) -> None:
    """Without a spool there is nothing to find, and nothing is made."""
    assert abandoned(tmp_path, BYTES) == abandoned(tmp_path / "none", BYTES) == []
    assert [*tmp_path.iterdir()] == []


def test_spool__what_the_disk_does_not_remove_is_not_returned_again(tmp_path: Path) -> None:
    """Redis has it: on a full disk the rest goes on, and is removed with it once there is room."""
    spool = Spool.create(tmp_path, BYTES)
    spool.append(ITEMS)
    last, _ = spool.first(4)
    spool._connection.execute("PRAGMA query_only = ON")  # as a disk that takes nothing
    with pytest.raises(sqlite3.Error):
        spool.remove(last)
    assert (spool.length, spool.first(9)[1]) == (3, ITEMS[4:])
    spool._connection.execute("PRAGMA query_only = OFF")
    spool.remove(spool.first(9)[0])
    spool.append(ITEMS)
    assert (spool.length, spool.first(9)[1]) == (7, ITEMS)
    spool.close()


def test_spool__file_of_an_older_version_is_sent(tmp_path: Path) -> None:
    """Files without the column of the task hold events, and notices for the nightly queue."""
    path = tmp_path / "1-old.spool"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, list TEXT NOT NULL, argument BLOB NOT NULL)")
        lists = [keys.EVENTS, keys.NIGHTLY]
        old.executemany("INSERT INTO items (list, argument) VALUES (?, ?)", [(name, name.encode()) for name in lists])
        old.commit()
    (spool,) = abandoned(tmp_path, BYTES)
    spool.append([Item(b"new", keys.NOTE_NAMES)])
    expected = [(keys.EVENTS.encode(), keys.TRACK_EVENT), (keys.NIGHTLY.encode(), keys.NOTE_PRESENCE)]
    assert spool.first(9)[1] == [*(Item(*each) for each in expected), Item(b"new", keys.NOTE_NAMES)]
    spool.close()
