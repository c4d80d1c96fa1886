"""The self-check: what a Discord bot does not get to hear, in plain words; what is not seen for it, and what to do."""

from collections.abc import Iterator
from typing import Final

import discord

INTENTS: Final = {
    "guilds": "guilds and channels are unknown, so threads have no parent, and nobody is seen in voice",
    "guild_messages": "no message is seen",
    "guild_reactions": "no reaction is seen",
    "voice_states": "nobody is seen in voice",
    "members": "joins and leaves of members are not seen",
}
"""What is not seen without an intent."""

PORTAL: Final = "turn on `Server Members Intent` under Bot at https://discord.com/developers/applications"

PERMISSIONS: Final = discord.Permissions(view_channel=True)
"""What a bot needs that only records: it hears of what happens in the channels that it can view."""

NAMED: Final = 5
"""Most channels that are named."""


def intents(asked: discord.Intents) -> Iterator[str]:
    """Yield what a bot has not asked for."""
    for name, unseen in INTENTS.items():
        if not getattr(asked, name):
            also = f"{PORTAL}, and " if name == "members" else ""
            yield f"intent {name}: {unseen}; {also}set `intents.{name} = True` in the bot"


def portal(flags: discord.ApplicationFlags) -> Iterator[str]:
    """Yield what a bot may not ask for: the intent for members must be allowed to it by its owner."""
    if not (flags.gateway_guild_members or flags.gateway_guild_members_limited):
        yield f"intent members: {INTENTS['members']}; {PORTAL}, and start the bot again"


def guilds(bot: discord.Client) -> Iterator[str]:
    """Yield in which guilds a bot that is ready sees nothing."""
    if not bot.guilds:
        link = discord.utils.oauth_url(bot.application_id or 0, permissions=PERMISSIONS, scopes=("bot",))
        yield f"guilds: the bot is in none, so nothing is seen; add it: {link}"
    for guild in bot.guilds:
        if not guild.unavailable and guild.text_channels and not any(map(_is_viewed, guild.text_channels)):
            yield (
                f"guild {guild.name} ({guild.id}): the bot can view no text channel, so no message and no reaction is "
                "seen there; give its role the permission `View Channels`"
            )


def hidden(bot: discord.Client) -> Iterator[str]:
    """Yield the channels of its other guilds that a bot cannot view, which may be as it should be."""
    for guild in bot.guilds:
        unseen = [channel for channel in _talked_in(guild) if not _is_viewed(channel)]
        if unseen and any(map(_is_viewed, guild.text_channels)):
            names = ", ".join(f"#{channel.name}" for channel in unseen[:NAMED]) + "…" * (len(unseen) > NAMED)
            yield f"guild {guild.name} ({guild.id}): {len(unseen)} channel(s) are not seen: {names}"


def _talked_in(guild: discord.Guild) -> list[discord.abc.GuildChannel]:
    return [*guild.text_channels, *guild.forums, *guild.voice_channels, *guild.stage_channels]


def _is_viewed(channel: discord.abc.GuildChannel) -> bool:
    return channel.permissions_for(channel.guild.me).view_channel
