"""Replaying dead letters: through the front door again, as ordinary messages in the events list."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from redis import Redis
from sqlalchemy import Connection, Engine

from participation import event, message
from participation.errors import InvalidEvent
from participation.publish import bulk
from participation.store import dead_letters
from participation.store.database import transaction
from participation.store.dead_letters import Choice, Letter

CHUNK: Final = 200
"""Letters to one transaction and one round trip; each is up to 64 KiB long."""


class Replay:
    """Sends the chosen letters again, those that there are when it begins, and remembers what it did.

    chosen: how many there were. sent: how many of them Redis has acknowledged and the table has marked.
    as_they_came: how many of those went byte by byte, since no event can be read from them; nobody counts what becomes
    of them. cut_off: the ids of those that were left, since their message is not whole.

    repaired: the event to send instead of what came, as `participation.event.encode` has written it.
    on_progress: called after every round trip.
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
        """How many were not sent: cut off, sent by somebody else, or not reached."""
        return self.chosen - self.sent

    @property
    def counted(self) -> int:
        """How many will be counted under the import id when they are stored, duplicates, dead again or opted out."""
        return self.sent - self.as_they_came

    def send(self, redis: Redis, engine: Engine) -> None:
        """Send the letters, in the order in which they came. Those that others are sending are left to them.

        A repeat is safe: a letter is marked in the transaction in which it is sent. If that fails afterwards it is sent
        a second time by the next replay, and recognised when it is stored. Raises `Unavailable`; what was sent
        before that is marked. Raises `ConfigError` for an id that there is not, before anything is sent.
        """
        with transaction(engine) as connection:
            if self._choice.ids is not None:
                dead_letters.require(connection, self._choice.ids)
            letters, last_id = dead_letters.scope(connection, self._choice)
        self.chosen = letters if self._choice.ids is None else len(self._choice.ids)
        after = 0
        while after < last_id:
            bulk.make_room(redis, lambda: self._on_progress(self))
            with transaction(engine) as connection:
                taken = dead_letters.take(connection, self._choice, after, last_id, CHUNK)
                sent, as_they_came = self._send(redis, connection, taken)
            after = taken[-1].id if taken else last_id
            self.sent += sent
            self.as_they_came += as_they_came
            self._on_progress(self)

    def _send(self, redis: Redis, connection: Connection, taken: Sequence[Letter]) -> tuple[int, int]:
        """Send and mark what can be sent; return how many that are, and how many of them went as they came."""
        whole = [letter for letter in taken if self._repaired is not None or not letter.is_cut_off]
        self.cut_off += sorted({letter.id for letter in taken} - {letter.id for letter in whole})
        if not whole:
            return 0, 0
        messages = [self._message(letter) for letter in whole]
        bulk.send(redis, messages, self.import_id, str(self.sent + len(whole)))
        dead_letters.mark(connection, [letter.id for letter in whole])
        same = sum(written is letter.raw for written, letter in zip(messages, whole, strict=True))
        return len(whole), same

    def _message(self, letter: Letter) -> bytes:
        """Write the message anew, so that its fate is counted; what no event can be read from goes as it came."""
        try:
            payload = message.decode(letter.raw).event if self._repaired is None else self._repaired
            return message.encode(payload, self.import_id)
        except (InvalidEvent, TypeError):  # TypeError: deeper than can be written
            return letter.raw


def read_event(content: bytes) -> dict[str, Any]:
    """Read a repaired event from its JSON; return it as it travels. Raises `InvalidEvent`, as `delay` does."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidEvent("event", f"must be one JSON object ({error})", content) from error
    return event.encode(event.decode(value))
