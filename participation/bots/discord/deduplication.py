"""Recognises updates that the gateway sends a second time, if they have no id or time of their own.

Duplicates of messages and joins are recognised when they are stored. Reactions, voice and leaves get the time at which
they were received, so a repeated update would become a second event.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

import discord

REACTIONS: Final = 10_000
"""How many of the latest reactions `LatestReactions` remembers."""


class Position(NamedTuple):
    """The position of an update in a session of the gateway."""

    session_id: str
    sequence: int


class GatewaySequence:
    """Remembers the last update that was read. After a RESUME the gateway may repeat older ones."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client
        self._last: dict[tuple[str, int | None], Position] = {}  # by the kind of update and the guild

    def is_duplicate(self, name: str, guild_id: int | None) -> bool:
        """Return whether the current update was dispatched before under this name, and remember it.

        Without a connection nothing is a duplicate.
        """
        try:
            # No public method of discord.py returns a guild's connection both with and without shards.
            socket = self._client._get_websocket(guild_id)
            now = Position(str(socket.session_id), int(socket.sequence or 0))
        except (AttributeError, KeyError, TypeError):  # no connection, or another version of the library
            return False
        last = self._last.get((name, guild_id))
        if last and last.session_id == now.session_id and now.sequence <= last.sequence:
            return True
        self._last[name, guild_id] = now
        return False


class LatestReactions:
    """Remembers the latest reactions. The same reaction cannot be added twice, or removed twice, in a row."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[int, int, str], bool] = OrderedDict()

    def is_duplicate(self, message_id: int, user_id: int, emoji: str, *, is_added: bool) -> bool:
        """Return whether the previous update of this reaction was the same, and remember this one."""
        key = (message_id, user_id, emoji)
        was_added = self._latest.get(key)
        self._latest[key] = is_added
        self._latest.move_to_end(key)
        if len(self._latest) > REACTIONS:
            self._latest.popitem(last=False)
        return was_added is is_added

    def forget(self, message_id: int | None = None, emoji: str | None = None) -> None:
        """Forget the reactions to a message, or only those with one emoji. Without a message, forget all reactions."""
        for key in list(self._latest):
            if message_id in {None, key[0]} and emoji in {None, key[2]}:
                del self._latest[key]
