"""The publisher that does not block: a bot passes an event and continues at once.

`track` checks the event and puts it into a queue in memory. One thread sends the queue to Redis, hundreds of events in
a round trip. While Redis does not answer, the thread moves them to the spool on disk, and sends them later.
An event that is sent twice because an answer was lost is recognised as a duplicate when it is stored.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from multiprocessing import util
from typing import Any, Final
from weakref import WeakSet

import orjson

from participation import event, keys, log, redis_client, settings
from participation.errors import InvalidEvent
from participation.event import Event
from participation.notices import names, presence
from participation.notices.names import Name
from participation.notices.presence import Presence
from participation.publish.counters import Counters, Left
from participation.publish.outbox import RETRY_SECONDS, Outbox
from participation.publish.sender import CHUNK, Sender
from participation.publish.spool import Item

LINGER_SECONDS: Final = 0.01
"""How long an event waits for other events, so that one round trip sends all of them."""

AWAKE_SECONDS: Final = 1.0
"""How long the thread polls the queue after the last event, before it sleeps."""

CLOSE_SECONDS: Final = 5.0
"""How long a program that ends waits for Redis."""

RESERVE: Final = 10
"""Voice events may use 1/RESERVE more of the queue than other events: without one of them, a whole stay is lost."""


class Publisher:
    """Takes events from any number of threads and coroutines. Only `flush` and `close` wait.

    Raises `ConfigError` if a setting is wrong or `REDIS_URL` is missing.
    """

    def __init__(self) -> None:
        self._settings = settings.load()
        self._folder = settings.folder("PARTICIPATION_SPOOL_DIR", self._settings.spool_dir)
        self._sender = Sender(
            redis_client.connect_within(self._settings.redis(), self._settings.publish_timeout_seconds)
        )
        # Load the codec for looking up host names now. If the thread loaded it during a fork, the child would hang at
        # its first look-up.
        "".encode("idna")
        self._begin()
        _register_fork_hooks()
        _publishers.add(self)

    def _begin(self) -> None:
        """Start with an empty queue. The child of a fork does this too, because the parent sends its own events."""
        self._outbox = Outbox(self._sender, self._folder, self._settings.spool_megabytes * 1_000_000)
        self._queue: deque[Item] = deque()
        self._sending: list[Item] = []
        # Re-entrant, because a signal handler may interrupt the thread that has the lock.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._worked_at = time.monotonic()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._tracked = self._refused = self._invalid = 0
        self._throttle = log.Throttle()

    def track(self, given: Event | Mapping[str, Any]) -> bool:
        """Take an event, in any form that `track_event.delay` takes; return whether it was taken.

        It is refused when queue and spool are full, and after `close`. Refused events are counted, and at most once a
        minute a warning is logged. Raises `InvalidEvent` if the event breaks a rule.
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
        return self._put(Item(event.to_json(valid)), most)

    def note_names(self, given: Iterable[Name | Mapping[str, Any]]) -> bool:
        """Take the names of accounts, channels and spaces; return whether all of them were taken.

        Each is a `notices.names.Name` or a JSON object with its fields. Names that are refused because queue and spool
        are full are lost; send them again later. Raises `InvalidEvent` for the first name that breaks a rule.
        """
        entries = [names.encode(names.decode(each)) for each in given]
        parts = [entries[start : start + names.LONGEST] for start in range(0, len(entries), names.LONGEST)]
        # A list: the other parts are tried even if one is refused.
        return False not in [self._notice(keys.NOTE_NAMES, orjson.dumps(part)) for part in parts]

    def note_presence(self, given: Presence) -> bool:
        """Take a notice that the bot was removed from a space, or is in it again; return whether it was taken.

        Workers delete the data of a community some time after its bots were removed.
        """
        return self._notice(keys.NOTE_PRESENCE, presence.encode(given))

    def _notice(self, task: str, argument: bytes) -> bool:
        return self._put(Item(argument, task), self._settings.publish_queue)

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
            self._throttle.warn("event_refused", refused=self._refused, reason=why)
        elif not self._wake.is_set():
            self._wake.set()
        return is_taken

    def counters(self) -> Counters:
        """Return the counts so far."""
        left = self.left()
        return Counters(self._tracked, self._outbox.sent, self._refused, self._invalid, left.waiting, left.spooled)

    def left(self) -> Left:
        """Return what Redis has not acknowledged."""
        with self._lock:
            waiting = len(self._queue) + len(self._sending)
        # In this order, an event that is being moved to the spool may count twice, but is never left out.
        return Left(waiting, self._outbox.spooled)

    def flush(self, seconds: float = CLOSE_SECONDS) -> Left:
        """Wait at most this long until Redis has all events; return what is left. This blocks an event loop."""
        deadline = time.monotonic() + seconds
        while (left := self.left()) != Left(0, 0) and time.monotonic() < deadline:
            self._wake.set()
            time.sleep(LINGER_SECONDS)
        return left

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called, so that no events are taken any more."""
        return self._is_closed

    def close(self, seconds: float = CLOSE_SECONDS) -> Left:
        """Refuse new events, send the events that wait, and save to the spool what Redis does not take in time.

        Returns what is left. Calling it twice is safe. It blocks, so in an event loop, await
        `asyncio.to_thread(publisher.close)`.
        """
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._outbox.stop_retrying()
        self._wake.set()
        try:
            if thread is not None:
                thread.join(seconds)
        finally:
            # The thread does this too, unless it still waits for Redis. Also runs after a second Ctrl-C.
            self._outbox.end(self._rest())
        return self.left()

    # ---- the thread ----

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="participation-publisher", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no more threads: the next event tries again
            self._thread = None
            self._throttle.warn("publisher_waits", advice="events stay in memory", error=error)
        _register_exit_hook(os.getpid())

    def _run(self) -> None:
        while not self._is_closed:
            self._pause()
            self._try(self._work)
        # Send the events that came while the thread was busy with the spools.
        self._try(self._send)
        self._outbox.end(self._rest())

    def _try(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:
            # Not expected to happen. If the thread ended here, all later events would be lost.
            self._throttle.warn("publisher_failed", advice="will retry", error=repr(error))
            time.sleep(RETRY_SECONDS)

    def _pause(self) -> None:
        """Wait for more events. After a second without events, sleep until `track` or other work wakes the thread.

        Waking the thread takes the caller as long as the rest of `track`, so the thread rarely sleeps.
        """
        if time.monotonic() - self._worked_at > AWAKE_SECONDS:
            self._wake.clear()
            if not self._queue and not self._is_closed:
                self._wake.wait(self._outbox.due_seconds)
        if not self._is_closed:
            time.sleep(LINGER_SECONDS)

    def _work(self) -> None:
        """Send the items in memory, then the items in the spools."""
        self._send()
        while not self._queue and not self._sending and self._outbox.send_spooled():
            pass

    def _send(self) -> None:
        """Move the items in memory to Redis or to the spool, until none is left or neither takes more."""
        while items := self._take():
            if not (self._outbox.send(items) or self._outbox.save(items)):
                return
            self._mark_done(items)

    def _take(self) -> list[Item]:
        """Return the items that are being sent, or take as many as one round trip can send."""
        with self._lock:
            if not self._sending:
                self._sending = [self._queue.popleft() for _ in range(min(CHUNK, len(self._queue)))]
            if self._sending:
                self._worked_at = time.monotonic()
            return self._sending

    def _mark_done(self, items: list[Item]) -> None:
        with self._lock:
            # `close` may have saved them meanwhile and taken others.
            if self._sending is items:
                self._sending = []

    def _rest(self) -> Iterator[list[Item]]:
        """Yield the items that wait. They count as done when the next ones are requested."""
        while items := self._take():
            yield items
            self._mark_done(items)

    def _before_fork(self) -> None:
        self._outbox.before_fork()

    def _after_fork(self) -> None:
        self._outbox.after_fork()
        self._wake.set()


_publishers: WeakSet[Publisher] = WeakSet()


@cache
def _register_fork_hooks() -> None:
    os.register_at_fork(
        before=lambda: _each(Publisher._before_fork),
        after_in_parent=lambda: _each(Publisher._after_fork),
        after_in_child=lambda: _each(Publisher._begin),
    )


@cache
def _register_exit_hook(_pid: int) -> None:
    """Close all publishers when this process ends. Processes of multiprocessing run this, but no atexit hooks."""
    util.Finalize(None, _close_all, exitpriority=100)


def _close_all() -> None:
    _each(Publisher.close)


def _each(do: Callable[[Publisher], object]) -> None:
    for publisher in list(_publishers):
        do(publisher)
