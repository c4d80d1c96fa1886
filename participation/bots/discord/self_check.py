"""The self-check: what a Discord bot cannot see, why, and what to do about it."""

from collections.abc import Iterator
from typing import Final

import discord

INTENTS: Final = {
    "guilds": "guilds and channels are unknown, so threads have no parent, and members in voice are not seen",
    "guild_messages": "messages are not seen",
    "guild_reactions": "reactions are not seen",
    "voice_states": "members in voice are not seen",
    "members": "joins and leaves of members are not seen",
}
"""What a bot does not see without each intent."""

PORTAL: Final = "turn on `Server Members Intent` under Bot at https://discord.com/developers/applications"

PERMISSIONS: Final = discord.Permissions(view_channel=True)
"""The only permission that recording needs. Discord reports what happens in the channels that the bot can view."""

NAMED: Final = 5
"""How many channels a line names at most."""


def intents(asked: discord.Intents) -> Iterator[str]:
    """Yield a line for each intent that the bot does not request."""
    for name, unseen in INTENTS.items():
        if not getattr(asked, name):
            also = f"{PORTAL}, and " if name == "members" else ""
            yield f"intent {name}: {unseen}; {also}set `intents.{name} = True` in the bot"


def portal(flags: discord.ApplicationFlags) -> Iterator[str]:
    """Yield a line if the bot may not request the intent `members`. Its owner must turn it on in the portal."""
    if not (flags.gateway_guild_members or flags.gateway_guild_members_limited):
        yield f"intent members: {INTENTS['members']}; {PORTAL}, and start the bot again"


def guilds(bot: discord.Client) -> Iterator[str]:
    """Yield a line for each guild in which the bot sees no text channel, or if it is in no guild. It must be ready."""
    if not bot.guilds:
        link = discord.utils.oauth_url(bot.application_id or 0, permissions=PERMISSIONS, scopes=("bot",))
        yield f"guilds: the bot is in no guild, so it sees nothing; add it to one: {link}"
    for guild in bot.guilds:
        if not guild.unavailable and guild.text_channels and not any(map(_is_viewed, guild.text_channels)):
            yield (
                f"guild {guild.name} ({guild.id}): the bot cannot view any text channel, so it does not see messages "
                "and reactions there; give its role the permission `View Channels`"
            )


def hidden(bot: discord.Client) -> Iterator[str]:
    """Yield a line for each other guild with channels that the bot cannot view. This may be intended."""
    for guild in bot.guilds:
        unseen = [channel for channel in _channels(guild) if not _is_viewed(channel)]
        if unseen and any(map(_is_viewed, guild.text_channels)):
            names = ", ".join(f"#{channel.name}" for channel in unseen[:NAMED]) + "…" * (len(unseen) > NAMED)
            yield f"guild {guild.name} ({guild.id}): the bot cannot view {len(unseen)} channel(s): {names}"


def _channels(guild: discord.Guild) -> list[discord.abc.GuildChannel]:
    """Return the channels in which members write or talk."""
    return [*guild.text_channels, *guild.forums, *guild.voice_channels, *guild.stage_channels]


def _is_viewed(channel: discord.abc.GuildChannel) -> bool:
    return channel.permissions_for(channel.guild.me).view_channel
