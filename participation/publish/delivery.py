"""How items leave a bot: to Redis, and while it does not answer into the spool, and from there to Redis."""

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from participation import keys, message
from participation.publish.bulk import CHUNK
from participation.publish.complaints import Complaints
from participation.publish.push import Sender
from participation.publish.spool import Item, Spool, abandoned, is_damage

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""Pause after a failure of Redis or of the disk before the next try."""

ADOPT_SECONDS: Final = 60.0
"""How often to look for spools that other processes have left behind."""

SLICE: Final = 50
"""Messages that are written before the bot's own thread gets its turn."""

YIELD_SECONDS: Final = 0.0001


class Delivery:
    """Delivers items for one thread. Another one may end it meanwhile, or fork the process.

    sent: how many items Redis has acknowledged, those of abandoned spools included.
    """

    def __init__(self, sender: Sender, folder: Path, spool_bytes: int) -> None:
        self.sent = 0
        self._sender = sender
        self._folder = folder
        self._spool_bytes = spool_bytes
        self._spools: list[Spool] = []
        self._given_up = 0
        self._parked = 0
        self._parked_paths: list[Path] = []
        # Held while a spool is in somebody's hands.
        self._disk = threading.RLock()
        self._try_at = self._save_at = self._adopt_at = 0.0
        self._is_down = self._is_ending = self._is_at_its_end = False
        self._complaints = Complaints(logger)

    @property
    def spooled(self) -> int:
        """How many items are in the spools; while something is moved it may be counted twice, never not at all."""
        return self._given_up + self._parked + sum(spool.length for spool in list(self._spools))

    @property
    def due_seconds(self) -> float:
        """After how long there is something to do without a new item."""
        return max(0.0, (self._try_at if self._spools else self._adopt_at) - time.monotonic())

    def send(self, items: Sequence[Item]) -> bool:
        """Send the items; return whether Redis has acknowledged them all. It may have some: a repeat is safe."""
        if time.monotonic() < self._try_at:
            return False
        try:
            for name, group in groupby(items, attrgetter("list")):
                self._sender.push(_written(name, group), name)
        except (RedisError, OSError) as error:
            self._is_down = True
            # One failure is enough for a program that ends.
            self._try_at = math.inf if self._is_ending else time.monotonic() + RETRY_SECONDS
            self._complaints.log(
                "redis_unavailable", "detail=%r: events go into the spool in %s", str(error), self._folder
            )
            return False
        if self._is_down:
            self._is_down = False
            logger.warning("redis_available spooled=%d", self.spooled)
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
            self._complaints.log(
                "spool_unavailable", "detail=%r folder=%s: events stay in memory", str(error), self._folder
            )
            return False
        return True

    def send_spooled(self) -> bool:
        """Send the oldest items of the oldest spool; return whether that went well and there may be more."""
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
            # Unless it was closed meanwhile: whoever opens it next sends them once more.
            if spool in self._spools:
                self._remove(spool, last)
                if not spool.length:
                    self._spools.remove(spool)
                    spool.close()
        return True

    def _set_aside(self, spool: Spool, error: sqlite3.Error) -> None:
        """Do without a spool that is damaged, or others would wait behind it for ever; raise any other error."""
        if not is_damage(error):
            raise error
        self._spools.remove(spool)
        logger.error("spool_damaged detail=%r path=%s: set aside with what is left in it", str(error), spool.path)
        spool.set_aside()

    def _remove(self, spool: Spool, last: int) -> None:
        try:
            spool.remove(last)
        except sqlite3.Error as error:
            # To remove takes room on the disk. Redis has it: what comes after it must not wait for that.
            self._complaints.log(
                "spool_unavailable", "detail=%r folder=%s: what was sent stays in it", str(error), self._folder
            )

    def _adopt(self) -> None:
        if time.monotonic() >= self._adopt_at:
            self._adopt_at = time.monotonic() + ADOPT_SECONDS
            self._spools = [*abandoned(self._folder, self._spool_bytes), *self._spools]

    def hasten(self) -> None:
        """Waste no time from now on: the program ends."""
        self._is_ending = True

    def end(self, rest: Iterable[Sequence[Item]]) -> None:
        """Put the rest into the spool, and close it."""
        with self._disk:
            if self._is_at_its_end:  # a signal handler closes while its own thread does
                return
            self._is_at_its_end = True
            try:
                for items in rest:
                    if not self.save(items):
                        break
                self._given_up = self.spooled
                self._close()
            finally:  # Ctrl-C: whoever ends it again must be able to
                self._is_at_its_end = False

    def _close(self) -> None:
        spools, self._spools = self._spools, []
        for spool in spools:
            with suppress(sqlite3.Error, OSError):
                spool.close()

    def before_fork(self) -> None:
        """Close the spools: SQLite's connections must not get into a child."""
        self._disk.acquire()
        self._parked_paths = [spool.path for spool in self._spools]
        self._parked = sum(spool.length for spool in self._spools)
        self._close()

    def after_fork(self) -> None:
        """Open them again, in the parent."""
        for path in self._parked_paths:
            # Another process may have it by now, and will send what is in it.
            with suppress(sqlite3.Error, OSError):
                self._spools.append(Spool(path, self._spool_bytes))
        self._parked = 0
        self._disk.release()


def _written(name: str, items: Iterable[Item]) -> list[bytes]:
    """Write the messages, letting the bot's own thread have its turn now and then."""
    write = message.wrap if name == keys.EVENTS else message.notice
    written: list[bytes] = []
    while part := [write(item.argument) for item in islice(items, SLICE)]:
        written += part
        time.sleep(YIELD_SECONDS)
    return written
