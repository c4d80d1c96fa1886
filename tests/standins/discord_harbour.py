"""The guild of the tests, and functions that run a scenario in it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import discord

from tests.standins import discord_payloads as shapes
from tests.standins.discord import TOKEN, Discord, standing_in, until
from tests.standins.discord_payloads import Channel, Guild, User

ADA, BEN, CLEO, DORA = User(1, "ada"), User(2, "ben"), User(3, "cleo"), User(5, "dora")
ROBOT, HOOK = User(4, "robot", is_bot=True), User(77, "hook", is_bot=True)
GENERAL, THREAD, FORUM, POST, HALL, ROOM, AFK = 100, 110, 120, 121, 200, 209, 299
WAVE: Final = 987_654_321_098_765_432

Scenario = Callable[[Discord], Awaitable[None]]


def harbour(platform: Discord) -> Guild:
    """Create a guild with a text, a forum, two voice and an AFK channel. Ben is in voice."""
    guild = platform.guild(10, ADA, BEN, CLEO, ROBOT, text=GENERAL, voice=(HALL, ROOM, AFK))
    guild.channels[FORUM] = Channel(FORUM, shapes.FORUM)
    guild.afk_channel_id = AFK
    platform.sit(guild, BEN, ROOM)
    return guild


def is_online(bot: discord.Client) -> bool:
    """Return whether the bot is ready and has its guilds.

    discord.py also becomes ready without them, if none arrives within `guild_ready_timeout`.
    """
    return bot.is_ready() and not any(guild.unavailable for guild in bot.guilds)


@asynccontextmanager
async def online(bot: discord.Client) -> AsyncIterator[None]:
    """Run a bot until the block ends. The block starts when the bot is ready and has its guilds."""
    async with bot:
        task = asyncio.create_task(bot.start(TOKEN))
        await until(lambda: task.done() or is_online(bot))
        if task.done():
            await task
        yield
    await task


def play(scenario: Scenario) -> None:
    """Run a scenario on a new platform."""

    async def whole() -> None:
        async with standing_in() as platform:
            await scenario(platform)

    asyncio.run(whole())
