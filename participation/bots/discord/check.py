"""The self-check: what a Discord bot is not allowed to hear, in plain words, and what will therefore not be seen."""

from collections.abc import Iterator
from typing import Final

import discord

INTENTS: Final = {
    "guilds": "guilds and channels are unknown, so that threads have no parent and voice is not seen",
    "guild_messages": "no message is seen",
    "guild_reactions": "no reaction is seen",
    "voice_states": "nobody is seen in voice",
    "members": "joins and leaves of members are not seen",
}
"""What is not seen without an intent."""

PORTAL: Final = (
    "turn on `Server Members Intent` under Bot in https://discord.com/developers/applications, and then "
    "`intents.members = True` in the bot"
)


def missing_intents(intents: discord.Intents) -> Iterator[str]:
    """Yield a line for each intent that the bot has not asked for: which, what is not seen, what to do."""
    for name, unseen in INTENTS.items():
        if not getattr(intents, name):
            cure = PORTAL if name == "members" else f"set `intents.{name} = True` in the bot"
            yield f"{name}: {unseen}; {cure}"
