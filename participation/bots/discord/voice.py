"""Keeps a list of who is in which voice channel, and returns the steps that change it. It does not need discord.py.

It gets observations in the gateway's order. A stay is the time between two observations: `VOICE_JOINED` or
`VOICE_PRESENT`, then `VOICE_PRESENT` or `VOICE_LEFT`. It never invents a leave: if a member is gone and was not seen to
leave, the member is removed from the list without a step. A member who deafens, or no longer does, is present at that
moment, because time in voice may count differently from then on.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from participation.event import ActorKind, EventType


class Seat(NamedTuple):
    """The voice channel in which an account is, the kind of the account, and whether it has deafened itself."""

    channel_id: int
    kind: ActorKind
    is_deaf: bool = False
    category_id: int | None = None


class Step(NamedTuple):
    """What an account did in voice: the type of the event, the account, and its seat."""

    event_type: EventType
    user_id: int
    seat: Seat


class Voice:
    """The seats in all guilds. Each method returns the new steps in order, or an empty list if nothing changed."""

    def __init__(self) -> None:
        # None: the member was seen to leave. No entry: the member was not seen yet, and `before` of `move` is used.
        self._guilds: dict[int, dict[int, Seat | None]] = {}

    def move(self, guild_id: int, user_id: int, before: Seat | None, after: Seat | None) -> list[Step]:
        """Note a change of an account's voice state, for example a move or a mute.

        before: the seat in the library's cache before the change.
        """
        known = self._guilds.setdefault(guild_id, {})
        old = known.get(user_id, before)
        known[user_id] = after
        if old and after and old.channel_id == after.channel_id:
            return [Step(EventType.VOICE_PRESENT, user_id, after)] if old.is_deaf != after.is_deaf else []
        left = [Step(EventType.VOICE_LEFT, user_id, old)] if old else []
        return [*left, Step(EventType.VOICE_JOINED, user_id, after)] if after else left

    def close(self, guild_id: int, channel_id: int) -> list[Step]:
        """Note that a channel was deleted. Everybody in it leaves."""
        known = self._guilds.get(guild_id, {})
        inside = [user_id for user_id, seat in known.items() if seat and seat.channel_id == channel_id]
        return [step for user_id in inside for step in self.move(guild_id, user_id, None, None)]

    def be_present(self, guild_id: int, seen: Mapping[int, Seat]) -> list[Step]:
        """Note who is in voice in a guild now. seen: the seats in the library's cache, by the account's id."""
        known = self._guilds.get(guild_id, {})
        # The cache keeps members who left the guild while in voice. They stay away until they are seen to join.
        self._guilds[guild_id] = {user_id: known.get(user_id, seat) and seat for user_id, seat in seen.items()}
        return list(_present(self._guilds[guild_id]))

    def forget(self, guild_id: int | None = None) -> None:
        """Forget a guild, or all guilds, after updates were missed. The next `be_present` fills the list again."""
        if guild_id is None:
            self._guilds.clear()
        else:
            self._guilds.pop(guild_id, None)


def _present(known: Mapping[int, Seat | None]) -> Iterator[Step]:
    for user_id, seat in known.items():
        if seat:
            yield Step(EventType.VOICE_PRESENT, user_id, seat)
