"""Telling what the gateway sends again from what is new, where an event has nothing of its own that would tell.

Messages and joins carry an id or a time and are recognised when they are stored. Reactions, voice and leaves take the
moment of receipt as their time, so a second telling would be a second event.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

import discord

REACTIONS: Final = 10_000
"""Reactions that are remembered, the latest."""


class Position(NamedTuple):
    """Where in a session of the gateway an update stood."""

    session_id: str
    sequence: int


class Sequence:
    """Remembers how far the gateway was read: after a RESUME it may go back and tell again what was told."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client
        self._last: dict[tuple[str, int | None], Position] = {}  # of each kind of update in each guild

    def is_repeat(self, name: str, guild_id: int | None) -> bool:
        """Tell whether the update that is being dispatched was so before, under this name, and remember it."""
        try:
            # The only way to the connection of a guild that a client with and one without shards have in common.
            socket = self._client._get_websocket(guild_id)
            now = Position(str(socket.session_id), int(socket.sequence or 0))
        except (AttributeError, KeyError, TypeError):  # no connection, or another version of the library
            return False
        last = self._last.get((name, guild_id))
        if last and last.session_id == now.session_id and now.sequence <= last.sequence:
            return True
        self._last[name, guild_id] = now
        return False


class Reactions:
    """Remembers the latest reactions: none can be added twice, or removed twice, without the other in between."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[int, int, str], bool] = OrderedDict()

    def is_repeat(self, message_id: int, user_id: int, emoji: str, *, is_added: bool) -> bool:
        """Tell whether this very thing was the last that happened to this reaction, and remember it."""
        key = (message_id, user_id, emoji)
        was_added = self._latest.get(key)
        self._latest[key] = is_added
        self._latest.move_to_end(key)
        if len(self._latest) > REACTIONS:
            self._latest.popitem(last=False)
        return was_added is is_added

    def forget(self, message_id: int | None = None, emoji: str | None = None) -> None:
        """Forget the reactions with an emoji, or all, to a message; without a message, all: updates were missed."""
        for key in list(self._latest):
            if message_id in {None, key[0]} and emoji in {None, key[2]}:
                del self._latest[key]
