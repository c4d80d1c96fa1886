"""Replay of dead letters: they are sent through the events queue again, as ordinary messages."""

import codecs
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import orjson
from redis import Redis
from sqlalchemy import Connection, Engine

from participation import event, events_queue, keys, message
from participation.errors import InvalidEvent
from participation.publish import import_sender
from participation.store import dead_letters
from participation.store.database import transaction
from participation.store.dead_letters import PAGE, Choice, DeadLetter


class Replay:
    """Sends the chosen letters that exist when the replay begins, and counts them.

    chosen: number of letters that were chosen. sent: how many of them Redis has acknowledged and the table has marked.
    as_they_came: how many of the sent letters were sent unchanged, because no event can be read from them. Their
    results are not counted. cut_off: ids of letters that were not sent, because their message is not complete.

    repaired: the event to send instead, as `event.encode` writes it. on_progress: called after every round trip.
    """

    def __init__(
        self,
        choice: Choice,
        on_progress: Callable[["Replay"], None],
        repaired: Mapping[str, Any] | None = None,
    ) -> None:
        self.import_id: UUID = uuid4()
        self.chosen = 0
        self.sent = 0
        self.as_they_came = 0
        self.cut_off: list[int] = []
        self._choice = choice
        self._on_progress = on_progress
        self._repaired = repaired

    @property
    def left(self) -> int:
        """Number of letters that were not sent: cut off, sent by another replay, or not reached yet."""
        return self.chosen - self.sent

    @property
    def counted(self) -> int:
        """Number of sent letters whose results are counted under the import id."""
        return self.sent - self.as_they_came

    def send(self, redis: Redis, engine: Engine) -> None:
        """Send the letters in the order in which they came, except those that another replay is sending.

        Repeating it is safe: a letter is marked in the transaction that sends it. If the transaction fails after
        sending, the next replay sends the letter again, and its event is recognised as a duplicate. Raises
        `Unavailable`; what was sent before is marked. Raises `ConfigError` for an unknown id, before anything is sent.
        """
        with transaction(engine) as connection:
            if self._choice.ids is not None:
                dead_letters.require(connection, self._choice.ids)
            letters, last_id = dead_letters.scope(connection, self._choice)
        self.chosen = letters if self._choice.ids is None else len(self._choice.ids)
        for _ in dead_letters.pages(partial(self._send_page, redis, engine, last_id)):
            self._on_progress(self)

    def _send_page(self, redis: Redis, engine: Engine, last_id: int, after: int) -> list[DeadLetter]:
        """Send and mark the first letters with an id in (after, last_id], in one transaction; return them."""
        events_queue.wait_for_room(redis, lambda: self._on_progress(self))
        with transaction(engine) as connection:
            letters = dead_letters.lock_letters(connection, self._choice, after, last_id, PAGE)
            sent, as_they_came = self._send(redis, connection, letters)
        self.sent += sent
        self.as_they_came += as_they_came
        return letters

    def _send(self, redis: Redis, connection: Connection, letters: Sequence[DeadLetter]) -> tuple[int, int]:
        """Send and mark the complete letters; return their number, and how many of them were sent unchanged."""
        whole = [letter for letter in letters if self._repaired is not None or not letter.is_cut_off]
        self.cut_off += sorted({letter.id for letter in letters} - {letter.id for letter in whole})
        if not whole:
            return 0, 0
        messages = [self._message(letter) for letter in whole]
        import_sender.send(redis, messages, self.import_id, str(self.sent + len(whole)))
        dead_letters.mark_replayed(connection, [letter.id for letter in whole])
        unchanged = sum(sent is letter.raw for sent, letter in zip(messages, whole, strict=True))
        return len(whole), unchanged

    def _message(self, letter: DeadLetter) -> bytes:
        """Encode the message again, so that its event is counted. A message without a readable event stays as it is."""
        if self._repaired is not None:
            return message.encode(self._repaired, self.import_id)
        try:
            found = message.decode(letter.raw)
            return message.encode(found.argument, self.import_id) if found.task == keys.TRACK_EVENT else letter.raw
        except (InvalidEvent, TypeError):  # TypeError: nested too deeply for orjson
            return letter.raw


def read_event(content: bytes) -> dict[str, Any]:
    """Read a repaired event from its JSON; return it as `event.encode` writes it. Raises `InvalidEvent`."""
    try:
        value = orjson.loads(content.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise InvalidEvent("event", f"must be one JSON object ({error})", content) from error
    return event.encode(event.decode(value))
