"""Sends the items of a bot to Redis. While Redis does not answer, saves them to the spool and sends them later."""

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from participation import keys, log, message
from participation.publish.sender import CHUNK, Sender
from participation.publish.spool import Item, Spool, abandoned, is_damage

RETRY_SECONDS: Final = 1.0
"""Pause before the next try after Redis or the disk failed."""

ADOPT_SECONDS: Final = 60.0
"""How often to look for the spools of processes that no longer run."""

SLICE: Final = 50
"""Number of messages that are encoded before a short pause, in which the bot's own threads can run."""

YIELD_SECONDS: Final = 0.0001


class Outbox:
    """Sends items, and keeps them on disk while Redis does not answer. Only one thread may use it.

    Another thread may call `end`, `before_fork` and `after_fork` meanwhile. sent: how many items Redis has
    acknowledged, including those from the spools of other processes.
    """

    def __init__(self, sender: Sender, folder: Path, spool_bytes: int) -> None:
        self.sent = 0
        self._sender = sender
        self._folder = folder
        self._spool_bytes = spool_bytes
        self._spools: list[Spool] = []
        self._at_end = 0
        self._in_fork = 0
        self._paths_in_fork: list[Path] = []
        # Held while a thread uses a spool.
        self._disk = threading.RLock()
        self._try_at = self._save_at = self._adopt_at = 0.0
        self._is_down = self._is_ending = self._is_closing = False
        self._throttle = log.Throttle()

    @property
    def spooled(self) -> int:
        """How many items are in the spools. An item that is being moved may count twice, but is never left out."""
        return self._at_end + self._in_fork + sum(spool.length for spool in list(self._spools))

    @property
    def due_seconds(self) -> float:
        """Seconds until there is work again if no new item comes."""
        return max(0.0, (self._try_at if self._spools else self._adopt_at) - time.monotonic())

    def send(self, items: Sequence[Item]) -> bool:
        """Send the items; return whether Redis acknowledged all of them. Sending some of them again is safe."""
        if time.monotonic() < self._try_at:
            return False
        try:
            self._sender.send(_messages(items))
        except (RedisError, OSError) as error:
            self._is_down = True
            # A program that is ending does not retry.
            self._try_at = math.inf if self._is_ending else time.monotonic() + RETRY_SECONDS
            advice = "events are kept on disk until Redis answers"
            self._throttle.warn("redis_unavailable", advice=advice, detail=error, folder=self._folder)
            return False
        if self._is_down:
            self._is_down = False
            log.event("redis_available", level=logging.WARNING, spooled=self.spooled)
        self.sent += len(items)
        return True

    def save(self, items: Sequence[Item]) -> bool:
        """Put the items into the spool; return whether they are on the disk."""
        if time.monotonic() < self._save_at and not self._is_ending:
            return False
        try:
            with self._disk:
                if not self._spools:
                    self._spools = [Spool.create(self._folder, self._spool_bytes)]
                self._spools[-1].append(items)
        except (sqlite3.Error, OSError) as error:
            self._save_at = time.monotonic() + RETRY_SECONDS
            self._warn_of_disk("events stay in memory", error)
            return False
        return True

    def send_spooled(self) -> bool:
        """Send the oldest items of the oldest spool; return whether they were sent and more may be left."""
        with self._disk:
            self._adopt()
            if not self._spools:
                return False
            spool = self._spools[0]
            try:
                last, items = spool.first(CHUNK)
            except sqlite3.Error as error:
                self._set_aside(spool, error)
                return True
        if items and not self.send(items):
            return False
        with self._disk:
            # If it was closed meanwhile, the next process that opens it sends the items again.
            if spool in self._spools:
                self._remove(spool, last)
                if not spool.length:
                    self._spools.remove(spool)
                    spool.close()
        return True

    def _set_aside(self, spool: Spool, error: sqlite3.Error) -> None:
        """Rename a damaged spool, so that the next spools are sent. Raise any other error."""
        if not is_damage(error):
            raise error
        self._spools.remove(spool)
        advice = "the file was renamed and is not sent"
        log.event("spool_damaged", level=logging.ERROR, advice=advice, detail=error, path=spool.path)
        spool.set_aside()

    def _remove(self, spool: Spool, last: int) -> None:
        try:
            spool.remove(last)
        except sqlite3.Error as error:
            # Deleting rows needs room on the disk. Redis has these items, so the next ones must not wait.
            self._warn_of_disk("the spool still contains items that were sent", error)

    def _warn_of_disk(self, advice: str, error: Exception) -> None:
        self._throttle.warn("spool_unavailable", advice=advice, detail=error, folder=self._folder)

    def _adopt(self) -> None:
        if time.monotonic() >= self._adopt_at:
            self._adopt_at = time.monotonic() + ADOPT_SECONDS
            self._spools = [*abandoned(self._folder, self._spool_bytes), *self._spools]

    def stop_retrying(self) -> None:
        """Do not retry or pause from now on, because the program is ending."""
        self._is_ending = True

    def end(self, rest: Iterable[Sequence[Item]]) -> None:
        """Put the remaining items into the spool, and close it."""
        with self._disk:
            if self._is_closing:  # a signal handler interrupted this method and called it again
                return
            self._is_closing = True
            try:
                for items in rest:
                    if not self.save(items):
                        break
                self._at_end = self.spooled
                self._close()
            finally:  # a second call must work, for example after a Ctrl-C
                self._is_closing = False

    def _close(self) -> None:
        spools, self._spools = self._spools, []
        for spool in spools:
            with suppress(sqlite3.Error, OSError):
                spool.close()

    def before_fork(self) -> None:
        """Close the spools, because a child process must not use the SQLite connections of its parent."""
        self._disk.acquire()
        self._paths_in_fork = [spool.path for spool in self._spools]
        self._in_fork = sum(spool.length for spool in self._spools)
        self._close()

    def after_fork(self) -> None:
        """Open the spools again, in the parent process."""
        for path in self._paths_in_fork:
            # Another process may have opened the file meanwhile. Then that process sends the items in it.
            with suppress(sqlite3.Error, OSError):
                self._spools.append(Spool(path, self._spool_bytes))
        self._in_fork = 0
        self._disk.release()


def _messages(items: Sequence[Item]) -> list[bytes]:
    """Encode the items, with short pauses in which the bot's own threads can run."""
    messages: list[bytes] = []
    for start in range(0, len(items), SLICE):
        messages += [_message(item) for item in items[start : start + SLICE]]
        time.sleep(YIELD_SECONDS)
    return messages


def _message(item: Item) -> bytes:
    if item.task == keys.TRACK_EVENT:
        return message.encode_json(item.argument)
    return message.encode_call(item.task, item.argument)
