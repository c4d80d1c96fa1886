"""Remembers the first message of each album, because this message counts for the album. Does no I/O.

In: messages with a `media_group_id`, in the order in which the bot receives them.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Final

from participation.bots.bot_api.types import Message

ALBUMS: Final = 256
"""How many albums are remembered. The messages of an album arrive within seconds of each other."""


class Albums:
    """The latest albums. first: the id of the first message, by `<chat id>/<media group id>`, in order of arrival."""

    def __init__(self) -> None:
        # Replaced and never modified, because another thread may read it.
        self.first: Mapping[str, int] = {}

    def knows(self, message: Message) -> bool:
        """Return whether the first message of the album is known."""
        return _key(message) in self.first

    def is_first(self, message: Message) -> bool:
        """Return whether the message is the first one of its album. The first message of a new album is remembered."""
        if not self.knows(message):
            self.add({**self.first, _key(message): message.message_id})
        return self.first[_key(message)] == message.message_id

    def first_of(self, message: Message) -> int:
        """Return the id of the first message of the message's album if it is known, and otherwise its own id."""
        return self.first.get(_key(message), message.message_id)

    def add(self, known: Mapping[str, int]) -> None:
        """Add albums that another process knows. What is known here takes precedence."""
        merged = {**known, **self.first}
        self.first = dict(islice(merged.items(), max(0, len(merged) - ALBUMS), None))


def _key(message: Message) -> str:
    return f"{message.chat.id}/{message.media_group_id}"
