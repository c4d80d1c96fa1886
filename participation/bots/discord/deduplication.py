"""Recognising what the gateway sends a second time, for updates without an id or a time of their own.

Duplicates of messages and joins are recognised when they are stored. Reactions, voice and leaves have the time of
receipt as their time, so a repeated update would make a second event.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

import discord

REACTIONS: Final = 10_000
"""How many of the latest reactions are remembered."""


class Position(NamedTuple):
    """The position of an update in a session of the gateway."""

    session_id: str
    sequence: int


class GatewaySequence:
    """Remembers how far the gateway was read. After a RESUME the gateway may repeat older updates."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client
        self._last: dict[tuple[str, int | None], Position] = {}  # of each kind of update in each guild

    def is_duplicate(self, name: str, guild_id: int | None) -> bool:
        """Return whether the update being dispatched was dispatched before under this name, and remember it."""
        try:
            # The only access to a guild's connection that works with and without shards.
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
    """Remembers the latest reactions: one cannot be added twice without being removed in between, or the reverse."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[int, int, str], bool] = OrderedDict()

    def is_duplicate(self, message_id: int, user_id: int, emoji: str, *, is_added: bool) -> bool:
        """Return whether the last update of this reaction was the same, and remember this one."""
        key = (message_id, user_id, emoji)
        was_added = self._latest.get(key)
        self._latest[key] = is_added
        self._latest.move_to_end(key)
        if len(self._latest) > REACTIONS:
            self._latest.popitem(last=False)
        return was_added is is_added

    def forget(self, message_id: int | None = None, emoji: str | None = None) -> None:
        """Forget the reactions to a message, all or with one emoji. Without a message: all, as updates were missed."""
        for key in list(self._latest):
            if message_id in {None, key[0]} and emoji in {None, key[2]}:
                del self._latest[key]
