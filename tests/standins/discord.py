"""A stand-in for Discord: `async with standing_in() as platform: await platform.message(…)`.

The methods change a guild, and send the updates that Discord sends then, if the bot has asked for them.
`python -m tests.standins.discord PORT FILE [ARGUMENT…]` runs a program whose discord.py connects to a stand-in.
"""

import runpy
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from tests.standins import discord_payloads as shapes
from tests.standins.discord_payloads import BOT, Channel, Guild, Payload, User
from tests.standins.discord_server import APPLICATION_ID, TOKEN, Server, pointed_to, until

__all__ = ["APPLICATION_ID", "BOT", "TOKEN", "Discord", "pointed_to", "standing_in", "until"]


class Discord(Server):
    """The platform. Its methods are what members, moderators and outages do."""

    def guild(self, guild_id: int, *members: User, text: int = 0, voice: tuple[int, ...] = ()) -> Guild:
        """Create a guild with the bot in it, a text channel and voice channels."""
        guild = Guild(guild_id, {member.id: member for member in (BOT, *members)})
        guild.channels = {text: Channel(text, shapes.TEXT)} | {c: Channel(c, shapes.VOICE) for c in voice}
        self.guilds[guild_id] = guild
        return guild

    async def join_guild(self, guild: Guild) -> None:
        self.guilds[guild.id] = guild
        payload = guild.payload(all_members=True)
        del payload["unavailable"]
        await self.dispatch("GUILD_CREATE", payload)

    async def remove_guild(self, guild: Guild) -> None:
        del self.guilds[guild.id]
        await self.dispatch("GUILD_DELETE", {"id": str(guild.id)})

    async def outage(self, guild: Guild) -> None:
        guild.is_unavailable = True
        await self.dispatch("GUILD_DELETE", {"id": str(guild.id), "unavailable": True})

    async def outage_over(self, guild: Guild) -> None:
        guild.is_unavailable = False
        await self._guild_create(guild)

    async def message(
        self, guild: Guild | None, channel_id: int, author: User, *, at: datetime | None = None, **more: Any
    ) -> int:
        """Send a message, or a direct message if guild is None. Return its id."""
        payload = shapes.message(guild.id if guild else None, channel_id, author, at or datetime.now(UTC), **more)
        if guild and author.id in guild.members:
            payload["member"] = {key: value for key, value in guild.member(author).items() if key != "user"}
        await self.dispatch("MESSAGE_CREATE", payload, "" if guild else "DIRECT_MESSAGE")
        return int(payload["id"])

    async def edit(self, guild: Guild, channel_id: int, author: User, message_id: int) -> None:
        payload = shapes.message(guild.id, channel_id, author, datetime.now(UTC))
        edited = {"id": str(message_id), "edited_timestamp": datetime.now(UTC).isoformat()}
        await self.dispatch("MESSAGE_UPDATE", payload | edited)

    async def delete(self, guild: Guild, channel_id: int, message_id: int) -> None:
        payload = {"id": str(message_id), "channel_id": str(channel_id), "guild_id": str(guild.id)}
        await self.dispatch("MESSAGE_DELETE", payload)

    async def thread(
        self, guild: Guild, parent_id: int, thread_id: int, kind: int = shapes.PUBLIC_THREAD, name: str | None = None
    ) -> None:
        """Create a thread, or a post in a forum."""
        guild.channels[thread_id] = Channel(thread_id, kind, parent_id, name=name)
        await self.dispatch("THREAD_CREATE", guild.channels[thread_id].payload(guild.id) | {"newly_created": True})

    async def change(self, guild: Guild, channel: Channel) -> None:
        """Create or change a channel or thread."""
        verb = "UPDATE" if channel.id in guild.channels else "CREATE"
        guild.channels[channel.id] = channel
        kind = "THREAD" if channel.is_thread else "CHANNEL"
        await self.dispatch(f"{kind}_{verb}", channel.payload(guild.id))

    async def change_guild(self, guild: Guild) -> None:
        """Tell the guild's name, and the permissions of everybody."""
        await self.dispatch("GUILD_UPDATE", guild.payload(all_members=False))
        await self.dispatch("GUILD_ROLE_UPDATE", {"guild_id": str(guild.id), "role": guild.everyone()})

    async def rename(self, guild: Guild, user: User, nick: str | None = None) -> None:
        """Let a member have another nickname, or another name on the platform."""
        guild.members[user.id] = user
        guild.nicks.pop(user.id, None)
        if nick is not None:
            guild.nicks[user.id] = nick
        await self.dispatch("GUILD_MEMBER_UPDATE", guild.member(user) | {"guild_id": str(guild.id)})

    async def react(
        self, guild: Guild, channel_id: int, user: User, message_id: int, emoji: str | int, *, author: User
    ) -> None:
        payload = self._reaction(guild, channel_id, user, message_id, emoji)
        more = {"member": guild.member(user), "message_author_id": str(author.id)}
        await self.dispatch("MESSAGE_REACTION_ADD", payload | more)

    async def unreact(self, guild: Guild, channel_id: int, user: User, message_id: int, emoji: str | int) -> None:
        payload = self._reaction(guild, channel_id, user, message_id, emoji)
        await self.dispatch("MESSAGE_REACTION_REMOVE", payload)

    async def clear_reactions(self, guild: Guild, channel_id: int, message_id: int, emoji: str | None = None) -> None:
        where = {"guild_id": str(guild.id), "channel_id": str(channel_id), "message_id": str(message_id)}
        if emoji is None:
            await self.dispatch("MESSAGE_REACTION_REMOVE_ALL", where)
        else:
            await self.dispatch("MESSAGE_REACTION_REMOVE_EMOJI", where | {"emoji": shapes.emoji(emoji)})

    def _reaction(self, guild: Guild, channel_id: int, user: User, message_id: int, emoji: str | int) -> Payload:
        return {
            "user_id": str(user.id),
            "channel_id": str(channel_id),
            "message_id": str(message_id),
            "guild_id": str(guild.id),
            "emoji": shapes.emoji(emoji),
            "burst": False,
            "type": 0,
        }

    async def voice(self, guild: Guild, user: User, channel_id: int | None, **flags: bool) -> None:
        """Let a user join, move or leave (None). With the channel unchanged: mute, deafen, stream."""
        self.sit(guild, user, channel_id)
        member = guild.member(user)
        state = guild.voice_state(user, channel_id, **flags) | {"guild_id": str(guild.id), "member": member}
        await self.dispatch("VOICE_STATE_UPDATE", state)

    def sit(self, guild: Guild, user: User, channel_id: int | None) -> None:
        """Change who is in voice without sending an update."""
        guild.voice.pop(user.id, None)
        if channel_id is not None:
            guild.voice[user.id] = channel_id

    async def delete_channel(self, guild: Guild, channel_id: int) -> None:
        await self.dispatch("CHANNEL_DELETE", guild.channels.pop(channel_id).payload(guild.id))

    async def join(self, guild: Guild, user: User, at: datetime) -> None:
        guild.members[user.id] = user
        await self.dispatch("GUILD_MEMBER_ADD", guild.member(user, at) | {"guild_id": str(guild.id)})

    async def leave(self, guild: Guild, user: User) -> None:
        """Let a user leave the guild. To send that they leave voice, call `voice`."""
        del guild.members[user.id]
        await self.dispatch("GUILD_MEMBER_REMOVE", {"guild_id": str(guild.id), "user": user.payload()})

    async def command(self, guild: Guild, user: User, name: str, subcommand: str | None = None) -> None:
        """Let a user use a slash command."""
        options = [{"type": 1, "name": subcommand, "options": []}] if subcommand else []
        await self._interaction(guild, user, 2, {"id": "1", "type": 1, "name": name, "options": options})

    async def press(self, guild: Guild, user: User, custom_id: str) -> None:
        """Let a user press a button of the latest answer to a command."""
        message = shapes.message(guild.id, next(iter(guild.channels)), BOT, datetime.now(UTC))
        message["id"] = str(self.answered_id)
        data = {"custom_id": custom_id, "component_type": 2}
        await self._interaction(guild, user, 3, data, message=message)

    async def _interaction(self, guild: Guild, user: User, kind: int, data: Payload, **more: Any) -> None:
        channel = next(iter(guild.channels.values()))
        payload = {
            "id": str(shapes.snowflake(datetime.now(UTC))),
            "application_id": str(APPLICATION_ID),
            "type": kind,
            "data": data,
            "guild_id": str(guild.id),
            "channel_id": str(channel.id),
            "channel": channel.payload(guild.id),
            "member": guild.member(user) | {"permissions": "0"},
            "token": "interaction-token",
            "version": 1,
            "locale": "en-GB",
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(guild.id)},
            "context": 0,
            "attachment_size_limit": 10_000_000,
        }
        await self.dispatch("INTERACTION_CREATE", payload | more)


@asynccontextmanager
async def standing_in() -> AsyncIterator[Discord]:
    async with Discord().serve() as server:
        yield server


if __name__ == "__main__":
    port, file, *arguments = sys.argv[1:]
    sys.argv = [file, *arguments]
    with pointed_to(int(port)):
        runpy.run_path(file, run_name="__main__")
