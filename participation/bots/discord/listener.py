"""Listens to a client of discord.py, and gives the recorder the events in the gateway's order.

It passes a check to `wait_for`. discord.py calls this check when it dispatches an update, before the bot's own handlers
run. So the check sees the objects before they change. It keeps the order, replaces nothing of the bot, and works with
every kind of client. Until the listener stops, the check accepts no update, so `wait_for` does not end.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from weakref import WeakSet

import discord

from participation import log
from participation.bots.discord import channels, mapping, names, self_check
from participation.bots.discord.deduplication import GatewaySequence, LatestReactions
from participation.bots.discord.names import GuildNames
from participation.bots.discord.voice import Voice
from participation.bots.recorder import Recorder
from participation.errors import ConfigError
from participation.event import Event

ROUND_SECONDS: Final = 300.0
"""How often everybody in voice is recorded as present. A stay without a recorded end counts up to the last time."""

_clients: WeakSet[discord.Client] = WeakSet()
"""The clients that have a listener."""


class Listener:
    """Records the updates that one client receives between `start` and `stop`."""

    def __init__(self, client: discord.Client, recorder: Recorder, *, record_authors: bool) -> None:
        self._client = client
        self._recorder = recorder
        self._record_authors = record_authors
        self._run = 0
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        """Start to listen. The client's event loop must be running.

        Raises `ConfigError` if another listener listens to the client.
        """
        if self._client in _clients:
            raise ConfigError(
                "participation is in this bot twice, so reactions and voice would count twice: use either "
                "ParticipationCog or attach, and only once"
            )
        _clients.add(self._client)
        self._voice = Voice()
        self._reactions = LatestReactions()
        self._sequence = GatewaySequence(self._client)
        self._offline: set[int] = set()
        for missing in self_check.intents(self._client.intents):
            log.event("not_seen", level=logging.WARNING, advice=missing)
        self._tasks = [self._listen(event, handler) for event, handler in self._handlers().items()]
        self._names = GuildNames(self._client, self._recorder)
        self._tasks += [asyncio.create_task(self._keep_rounds()), asyncio.create_task(self._names.run())]
        # If the bot is already running, it is not told about its guilds again.
        for guild in self._client.guilds:
            self._recorder.record(self._available, guild)

    async def stop(self) -> None:
        """Record who is in voice, stop listening, and wait a few seconds for Redis. Never raises. Repeating is safe."""
        if not self._tasks:
            return
        for guild in self._client.guilds:
            self._recorder.record(self._round, guild)
        self._run += 1
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        _clients.discard(self._client)
        await self._recorder.close()

    def _handlers(self) -> dict[str, Callable[..., Iterable[Event]]]:
        """Return the function for each of discord.py's events."""
        return {
            "message": self._message,
            "member_join": self._member_joined,
            **{
                event: partial(self._unless_duplicate, event, handler)
                for event, handler in self._guild_handlers().items()
            },
            **self._name_handlers(),
            **self._connection_handlers(),
        }

    def _name_handlers(self) -> dict[str, Callable[..., Iterable[Event]]]:
        """Return the functions for events that give no event of ours, but may tell a name."""
        return {
            "member_update": self._renamed,
            "user_update": self._user_renamed,
            "guild_channel_create": self._renamed,
            "guild_channel_update": self._channel_changed,
            "thread_create": self._renamed,
            "thread_join": self._renamed,
            "thread_update": self._renamed,
            "guild_update": self._renamed,
            "guild_role_update": self._role_changed,
        }

    def _guild_handlers(self) -> dict[str, Callable[..., Iterable[Event]]]:
        """Return the functions for events that would count twice if the gateway repeated them."""
        return {
            "raw_reaction_add": self._reaction,
            "raw_reaction_remove": self._reaction,
            "raw_reaction_clear": self._reactions_cleared,
            "raw_reaction_clear_emoji": self._reactions_cleared,
            "voice_state_update": self._voice_state,
            "guild_channel_delete": self._channel_deleted,
            "raw_member_remove": self._member_left,
            # discord.py dispatches this for every guild before `ready`, so `ready` needs no function.
            "guild_available": self._available,
            "guild_join": self._available,
            "guild_unavailable": self._unavailable,
            "guild_remove": self._removed,
        }

    def _connection_handlers(self) -> dict[str, Callable[..., Iterable[Event]]]:
        has_shards = isinstance(self._client, discord.AutoShardedClient)
        prefix, shard = ("shard_", ()) if has_shards else ("", (self._client.shard_id or 0,))
        return {
            f"{prefix}connect": partial(self._session_began, *shard),
            f"{prefix}resumed": partial(self._online, *shard),
            f"{prefix}disconnect": partial(self._disconnected, *shard),
        }

    def _unless_duplicate(
        self, event: str, handler: Callable[..., Iterable[Event]], first: Any, *rest: Any
    ) -> Iterable[Event]:
        is_duplicate = self._sequence.is_duplicate(event, mapping.guild_id(first))
        return [] if is_duplicate else handler(first, *rest)

    def _listen(self, event: str, handler: Callable[..., Iterable[Event]]) -> asyncio.Task[Any]:
        run = self._run

        def hear(*arguments: Any) -> bool:
            # If a task is cancelled before its first step, discord.py keeps the check. So the check must end by itself.
            is_over = run != self._run
            if not is_over:
                self._recorder.record(handler, *arguments)
            return is_over

        return asyncio.create_task(self._client.wait_for(event, check=hear))

    async def _keep_rounds(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            for guild in list(self._client.guilds):
                self._recorder.record(self._round, guild)
                await asyncio.sleep(0)  # let the bot run, because a large guild takes a few milliseconds

    # ---- messages, reactions, members: the names come last, so that they never take an event's place ----

    def _message(self, sent: discord.Message) -> Iterator[Event]:
        if not self._ignores(sent.channel):
            yield from mapping.message(self._recorder.community, sent)
            self._recorder.note_names(names.author, self._recorder.community, sent)

    def _reaction(self, payload: discord.RawReactionActionEvent) -> Iterator[Event]:
        is_added = payload.event_type == "REACTION_ADD"
        emoji = mapping.emoji(payload.emoji)
        if self._reactions.is_duplicate(payload.message_id, payload.user_id, emoji, is_added=is_added):
            return
        guild = None if payload.guild_id is None else self._client.get_guild(payload.guild_id)
        if self._ignores(self._client.get_partial_messageable(payload.channel_id, guild_id=payload.guild_id)):
            return
        yield from mapping.reaction(
            self._recorder.community, payload, guild, _now(), is_author_recorded=self._record_authors
        )
        if payload.member is not None:
            self._note(payload.member)

    def _ignores(self, channel: Any) -> bool:
        if isinstance(channel, discord.PartialMessageable) and channel.guild is not None:
            channel = channel.guild.get_channel_or_thread(channel.id) or channel
        return channels.is_ignored(channel, self._recorder.ignored_channels)

    def _reactions_cleared(
        self, payload: discord.RawReactionClearEvent | discord.RawReactionClearEmojiEvent
    ) -> list[Event]:
        cleared = mapping.emoji(payload.emoji) if isinstance(payload, discord.RawReactionClearEmojiEvent) else None
        self._reactions.forget(payload.message_id, cleared)
        return []

    def _member_joined(self, member: discord.Member) -> Iterator[Event]:
        yield from mapping.joined(self._recorder.community, member, _now())
        self._note(member)

    def _member_left(self, payload: discord.RawMemberRemoveEvent) -> list[Event]:
        now, guild, user = _now(), self._client.get_guild(payload.guild_id), payload.user
        before = None
        if guild is not None and isinstance(user, discord.Member):
            before = mapping.seat(guild, user.voice, user, self._recorder.ignored_channels)
        # Leaving the guild ends voice too. Discord sends the voice state just before or just after this update.
        steps = self._voice.move(payload.guild_id, user.id, before, None)
        community = self._recorder.community
        return [*mapping.voice(community(payload.guild_id), steps, now), *mapping.left(community, payload, now)]

    # ---- voice ----

    def _voice_state(
        self, member: discord.Member, before: discord.VoiceState, after: discord.VoiceState
    ) -> Iterator[Event]:
        guild, ignored = member.guild, self._recorder.ignored_channels
        seats = [mapping.seat(guild, state, member, ignored) for state in (before, after)]
        steps = self._voice.move(guild.id, member.id, *seats)
        yield from mapping.voice(self._recorder.community(guild.id), steps, _now())
        if steps:
            self._note(member)

    def _channel_deleted(self, channel: discord.abc.GuildChannel) -> list[Event]:
        steps = self._voice.close(channel.guild.id, channel.id)
        return mapping.voice(self._recorder.community(channel.guild.id), steps, _now())

    def _round(self, guild: discord.Guild) -> list[Event]:
        # The cache may be outdated if the guild is unavailable or the bot is not connected.
        if guild.unavailable or guild.shard_id in self._offline:
            return []
        steps = self._voice.be_present(guild.id, mapping.seats(guild, self._recorder.ignored_channels))
        return mapping.voice(self._recorder.community(guild.id), steps, _now())

    # ---- names ----

    def _note(self, *subjects: names.Subject) -> None:
        self._recorder.note_names(names.seen, self._recorder.community, subjects, self._recorder.ignored_channels)

    def _renamed(self, *states: names.Subject) -> list[Event]:
        """Tell the new state, which is the last or the only one."""
        self._note(states[-1])
        return []

    def _user_renamed(self, _before: discord.User, user: discord.User) -> list[Event]:
        members = [guild.get_member(user.id) for guild in self._client.guilds]
        self._note(*(member for member in members if member is not None))
        return []

    def _channel_changed(self, _before: object, channel: discord.abc.GuildChannel) -> list[Event]:
        # Threads have the permissions and the category of their channel.
        self._note(channel, *(thread for thread in channel.guild.threads if thread.parent_id == channel.id))
        return []

    def _role_changed(self, _before: object, role: discord.Role) -> list[Event]:
        if role.is_default():
            self._names.add(role.guild.id)
        return []

    # ---- guilds and the connection ----

    def _available(self, guild: discord.Guild) -> list[Event]:
        if not guild.unavailable:
            self._recorder.note_presence(guild.id, is_present=True, changed_at=_now())
            self._names.add(guild.id)
        return self._round(guild)

    def _unavailable(self, guild: discord.Guild) -> list[Event]:
        """Forget the voice of a guild that has an outage, and all reactions. The bot is still a member of the guild."""
        self._voice.forget(guild.id)
        self._reactions.forget()
        return []

    def _removed(self, guild: discord.Guild) -> list[Event]:
        self._voice.forget(guild.id)
        # Workers keep this by guild. So the bot may still be in other guilds of the same community.
        self._recorder.note_presence(guild.id, is_present=False, changed_at=_now())
        return []

    def _session_began(self, shard_id: int) -> list[Event]:
        """Forget voice and reactions. In a new session Discord does not send missed updates, only voice states."""
        self._voice.forget()
        self._reactions.forget()
        return self._online(shard_id)

    def _online(self, shard_id: int) -> list[Event]:
        self._offline.discard(shard_id)
        return []

    def _disconnected(self, shard_id: int) -> list[Event]:
        self._offline.add(shard_id)
        return []


def _now() -> datetime:
    return datetime.now(UTC)
