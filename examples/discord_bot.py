"""A complete bot for Discord: it greets who says hello to it, and what members do is recorded.

Install participation[discord], set DISCORD_TOKEN and REDIS_URL, and run this file.
"""

import os
import signal

import discord
from discord.ext import commands

from participation.bots.discord import ParticipationCog


class Bot(commands.Bot):
    """Your bot, with one line more."""

    async def setup_hook(self) -> None:
        await self.add_cog(ParticipationCog(self))
        # By itself discord.py ends in order at Ctrl-C only, and service managers send SIGTERM.
        self.loop.add_signal_handler(signal.SIGTERM, lambda: self.loop.create_task(self.close()))


intents = discord.Intents.default()
intents.members = True  # for joins and leaves; to be turned on in Discord's developer portal, too

bot = Bot(commands.when_mentioned, intents=intents)


@bot.command()
async def hello(context: commands.Context[Bot]) -> None:
    """Answer to `@bot hello`."""
    await context.send(f"Hello, {context.author.display_name}!", allowed_mentions=discord.AllowedMentions.none())


bot.run(os.environ["DISCORD_TOKEN"], root_logger=True)
