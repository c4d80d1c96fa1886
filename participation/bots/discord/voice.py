"""Who was last seen where in voice: what was observed comes in, what has happened comes out. Pure, without discord.py.

Observations come from the gateway in its order. Two of them enclose a stay (`VOICE_JOINED` or `VOICE_PRESENT`, then
`VOICE_PRESENT` or `VOICE_LEFT`), so nothing is made up: who is gone without being seen to go is dropped in silence.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from participation.event import ActorKind, EventType


class Seat(NamedTuple):
    """Where an account sits, and what it is."""

    channel_id: int
    kind: ActorKind


class Step(NamedTuple):
    """Something that an account did: which kind of event it is, and at which seat."""

    event_type: EventType
    user_id: int
    seat: Seat


class Voice:
    """The seats of all guilds. Methods return what has happened, in order; what is no news returns nothing."""

    def __init__(self) -> None:
        # None: seen to leave. Without an entry: not seen yet, and what the library knew before is taken.
        self._guilds: dict[int, dict[int, Seat | None]] = {}

    def move(self, guild_id: int, user_id: int, before: Seat | None, after: Seat | None) -> list[Step]:
        """Note a change of an account's voice state, which may be a mute; before: what the library knew before it."""
        known = self._guilds.setdefault(guild_id, {})
        old = known.get(user_id, before)
        known[user_id] = after
        if (old and old.channel_id) == (after and after.channel_id):
            return []
        left = [Step(EventType.VOICE_LEFT, user_id, old)] if old else []
        return [*left, Step(EventType.VOICE_JOINED, user_id, after)] if after else left

    def close(self, guild_id: int, channel_id: int) -> list[Step]:
        """Note that a channel was deleted, and with it everybody's stay."""
        known = self._guilds.get(guild_id, {})
        inside = [user_id for user_id, seat in known.items() if seat and seat.channel_id == channel_id]
        return [step for user_id in inside for step in self.move(guild_id, user_id, None, None)]

    def be_present(self, guild_id: int, seen: Mapping[int, Seat]) -> list[Step]:
        """Note everybody who is in voice in a guild now: those in the library's cache, by the account's id."""
        known = self._guilds.get(guild_id, {})
        # Who was seen to leave is away until seen to join: the cache keeps members who left the guild while in voice.
        self._guilds[guild_id] = {user_id: known.get(user_id, seat) and seat for user_id, seat in seen.items()}
        return list(_present(self._guilds[guild_id]))

    def forget(self, guild_id: int | None = None) -> None:
        """Forget a guild, or all: events were missed, and only the next look at the cache can tell who is there."""
        if guild_id is None:
            self._guilds.clear()
        else:
            self._guilds.pop(guild_id, None)


def _present(known: Mapping[int, Seat | None]) -> Iterator[Step]:
    for user_id, seat in known.items():
        if seat:
            yield Step(EventType.VOICE_PRESENT, user_id, seat)
