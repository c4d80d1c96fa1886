"""The non-blocking publisher: a bot hands over an event and goes on at once.

`track` checks the event and puts it into a queue in memory. One thread sends what has gathered there, hundreds to a
round trip; while Redis does not answer it moves it into the spool, and from there to Redis when that is back. An event
that goes twice because an answer was lost is recognised when it is stored.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from multiprocessing import util
from typing import Any, Final
from weakref import WeakSet

import orjson

from participation import broker, event, keys, settings
from participation.errors import InvalidEvent
from participation.event import Event
from participation.publish.bulk import CHUNK
from participation.publish.complaints import Complaints
from participation.publish.delivery import RETRY_SECONDS, Delivery
from participation.publish.push import Sender
from participation.publish.spool import Item

logger = logging.getLogger(__name__)

LINGER_SECONDS: Final = 0.01
"""How long an event may wait for others that go with it."""

AWAKE_SECONDS: Final = 1.0
"""How long the thread looks for more by itself after the last event."""

CLOSE_SECONDS: Final = 5.0
"""How long the end of a program waits for Redis."""

RESERVE: Final = 10
"""One part in so many of the queue is kept for voice: without one transition of it a whole stay is lost."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of the events, and of the notices of presence, that this process was handed.

    tracked: taken by `track`. sent: acknowledged by Redis, also out of spools that other processes have left. refused:
    not taken, because queue and spool are full or the publisher is closed. invalid: not taken, because a rule is
    broken. waiting: in memory. spooled: in the spool.
    """

    tracked: int
    sent: int
    refused: int
    invalid: int
    waiting: int
    spooled: int


@dataclass(frozen=True, slots=True)
class Left:
    """What Redis has not acknowledged yet: events in memory, which end with the process, and events on the disk."""

    waiting: int
    spooled: int


class Publisher:
    """Takes events from any number of threads and coroutines; only `flush` and `close` wait.

    Raises `ConfigError` when it is made with settings that are wrong, or without `REDIS_URL`.
    """

    def __init__(self) -> None:
        self._settings = settings.load()
        self._folder = settings.folder("PARTICIPATION_SPOOL_DIR", self._settings.spool_dir)
        self._sender = Sender(broker.connect_within(self._settings.redis(), self._settings.publish_timeout_seconds))
        # What the thread would otherwise import to look Redis' host up: a child forked in the middle of that would wait
        # for ever at its own first look-up, or never find any host.
        "".encode("idna")
        self._begin()
        _hook_up()
        _publishers.add(self)

    def _begin(self) -> None:
        """Be as new: also in the child of a fork, for the parent's events are the parent's."""
        self._delivery = Delivery(self._sender, self._folder, self._settings.spool_megabytes * 1_000_000)
        self._queue: deque[Item] = deque()
        self._in_hand: list[Item] = []
        # One that a signal handler may take which comes while its own thread holds it.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._worked_at = time.monotonic()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._tracked = self._refused = self._invalid = 0
        self._complaints = Complaints(logger)

    def track(self, given: Event | Mapping[str, Any]) -> bool:
        """Hand over an event as `track_event.delay` takes it; return whether it was taken.

        It is not when queue and spool are full, or after `close`: then it is counted, and a line is logged now and
        then. Raises `InvalidEvent` for one that breaks a rule.
        """
        try:
            valid = event.decode(given)
        except InvalidEvent:
            with self._lock:
                self._invalid += 1
            raise
        most = self._settings.publish_queue
        if valid.event_type.startswith("VOICE"):
            most += most // RESERVE
        return self._put(Item(keys.EVENTS, event.to_json(valid)), most)

    def note_presence(self, community_id: str, platform: str, *, is_present: bool, changed_at: datetime) -> bool:
        """Hand over that the bot was removed from a community, or is there again; return whether it was taken.

        Workers delete what the platform's bots have brought a while after they were removed.
        """
        fields = {"community_id": community_id, "platform": platform, "is_present": is_present}
        argument = orjson.dumps({**fields, "changed_at": event.moment(changed_at)})
        return self._put(Item(keys.NIGHTLY, argument), self._settings.publish_queue)

    def _put(self, item: Item, most: int) -> bool:
        with self._lock:
            is_taken = not self._is_closed and len(self._queue) < most
            if is_taken:
                self._queue.append(item)
                self._tracked += 1
                if self._thread is None:
                    self._start()
            else:
                self._refused += 1
        if not is_taken:
            why = "the publisher is closed" if self._is_closed else "queue and spool are full"
            self._complaints.log("event_refused", "refused=%d reason=%r", self._refused, why)
        elif not self._wake.is_set():
            self._wake.set()
        return is_taken

    def counters(self) -> Counters:
        """Return what became of the events so far."""
        left = self.left()
        return Counters(self._tracked, self._delivery.sent, self._refused, self._invalid, left.waiting, left.spooled)

    def left(self) -> Left:
        """Return what Redis has not acknowledged."""
        with self._lock:
            waiting = len(self._queue) + len(self._in_hand)
        # In this order: what is on its way into the spool is counted twice rather than not at all.
        return Left(waiting, self._delivery.spooled)

    def flush(self, seconds: float = CLOSE_SECONDS) -> Left:
        """Wait until Redis has everything, but no longer than that; return what is left. Not for an event loop."""
        deadline = time.monotonic() + seconds
        while (left := self.left()) != Left(0, 0) and time.monotonic() < deadline:
            self._wake.set()
            time.sleep(LINGER_SECONDS)
        return left

    def close(self, seconds: float = CLOSE_SECONDS) -> Left:
        """Take nothing more, send what is there, and put what Redis has not taken by then into the spool.

        Returns what is left. A repeat is safe. It blocks: in an event loop await `asyncio.to_thread(publisher.close)`.
        """
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._delivery.hasten()
        self._wake.set()
        try:
            if thread is not None:
                thread.join(seconds)
        finally:
            # Again if that thread still waits for Redis, perhaps for longer than the program lives; also if a second
            # Ctrl-C ends the waiting.
            self._delivery.end(self._rest())
        return self.left()

    # ---- the thread ----

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="participation-publisher", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads: the next event tries again
            self._thread = None
            self._complaints.log("publisher_waits", "error=%r: events stay in memory", error)
        _announce_end(os.getpid())

    def _run(self) -> None:
        while not self._is_closed:
            self._pause()
            self._try(self._work)
        # What came while it was busy with the spools.
        self._try(self._send)
        self._delivery.end(self._rest())

    def _try(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:
            # Nothing of the kind is known; a thread that ended would lose all that follows.
            self._complaints.log("publisher_failed", "error=%r: tried again", error)
            time.sleep(RETRY_SECONDS)

    def _pause(self) -> None:
        """Let events gather; when none have come for a while, sleep until `track` or other work wakes the thread.

        To wake a thread costs the caller as much as all the rest of `track`, so it sleeps as seldom as that.
        """
        if time.monotonic() - self._worked_at > AWAKE_SECONDS:
            self._wake.clear()
            if not self._queue and not self._is_closed:
                self._wake.wait(self._delivery.due_seconds)
        if not self._is_closed:
            time.sleep(LINGER_SECONDS)

    def _work(self) -> None:
        """Deliver what waits, then what is in the spools."""
        self._send()
        while not self._queue and not self._in_hand and self._delivery.send_spooled():
            pass

    def _send(self) -> None:
        """Deliver what waits, to Redis or into the spool; stop at what neither takes."""
        while items := self._take():
            if not (self._delivery.send(items) or self._delivery.save(items)):
                return
            self._put_down(items)

    def _take(self) -> list[Item]:
        """Take in hand, if nothing is, what goes with one round trip."""
        with self._lock:
            if not self._in_hand:
                self._in_hand = [self._queue.popleft() for _ in range(min(CHUNK, len(self._queue)))]
            if self._in_hand:
                self._worked_at = time.monotonic()
            return self._in_hand

    def _put_down(self, items: list[Item]) -> None:
        with self._lock:
            # Unless `close` has saved them meanwhile and has others in hand.
            if self._in_hand is items:
                self._in_hand = []

    def _rest(self) -> Iterator[list[Item]]:
        """Yield what waits; what was yielded is put down when more is asked for."""
        while items := self._take():
            yield items
            self._put_down(items)

    def _before_fork(self) -> None:
        self._delivery.before_fork()

    def _after_fork(self) -> None:
        self._delivery.after_fork()
        self._wake.set()


_publishers: WeakSet[Publisher] = WeakSet()


@cache
def _hook_up() -> None:
    """Have forks announced."""
    os.register_at_fork(
        before=lambda: _each(Publisher._before_fork),
        after_in_parent=lambda: _each(Publisher._after_fork),
        after_in_child=lambda: _each(Publisher._begin),
    )


@cache
def _announce_end(_pid: int) -> None:
    """Have all publishers closed at the end of this process; of a child of multiprocessing too, which has no atexit."""
    util.Finalize(None, _close_all, exitpriority=100)


def _close_all() -> None:
    _each(Publisher.close)


def _each(do: Callable[[Publisher], object]) -> None:
    for publisher in list(_publishers):
        do(publisher)
