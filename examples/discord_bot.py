"""A complete bot for Discord. It answers `@bot hello`, and records what members do.

Install community-participation[discord] as docs/install.md says, set DISCORD_TOKEN and REDIS_URL, and run this file.
"""

import os
import signal

import discord
from discord.ext import commands

from participation.bots.discord import ParticipationCog


class Bot(commands.Bot):
    """Your bot, with one additional line."""

    async def setup_hook(self) -> None:
        await self.add_cog(ParticipationCog(self))
        # discord.py closes the bot at Ctrl-C, but not at SIGTERM, which service managers send.
        self.loop.add_signal_handler(signal.SIGTERM, lambda: self.loop.create_task(self.close()))


intents = discord.Intents.default()
intents.members = True  # for joins and leaves; also turn it on in Discord's developer portal

bot = Bot(commands.when_mentioned, intents=intents)


@bot.command()
async def hello(context: commands.Context[Bot]) -> None:
    """Answer `@bot hello`."""
    await context.send(f"Hello, {context.author.display_name}!", allowed_mentions=discord.AllowedMentions.none())


bot.run(os.environ["DISCORD_TOKEN"], root_logger=True)
