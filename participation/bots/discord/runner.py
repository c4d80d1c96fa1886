"""Our own bot for Discord, for communities that have none: it records, and says at its start what it lacks.

In: the token, from the settings. Out: events, through the adapter.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import aiohttp
import discord
from discord.ext import commands

from participation import settings
from participation.bots.discord import check
from participation.bots.discord.adapter import ParticipationCog
from participation.errors import ConfigError, Unavailable

VARIABLE: Final = "PARTICIPATION_DISCORD_TOKEN"

FOUND: Final = 2
"""Exit code of a check that finds something."""

Say = Callable[[str], object]


def run(say: Say, *, only_check: bool, has_member_commands: bool) -> int:
    """Check what the bot may see, and unless that is all, run until SIGINT or SIGTERM; return the exit code.

    say: writes a line for people. Raises `ConfigError` for a setting that lets nothing be seen, and `Unavailable` when
    Discord does not answer at the start.
    """
    configured = settings.load().discord_token
    token = configured.get_secret_value().strip() if configured else ""
    if not token:
        raise ConfigError(
            f"{VARIABLE} is not set: put the bot's token into the environment or .env; it is shown once, under Bot at "
            "https://discord.com/developers/applications"
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # it listens to nobody, it only sees them
    try:
        return asyncio.run(_run(token, say, only_check=only_check, has_member_commands=has_member_commands))
    except discord.LoginFailure as error:
        raise ConfigError(
            f"{VARIABLE}: Discord does not know this token: reset it under Bot at "
            "https://discord.com/developers/applications, and copy the new one whole"
        ) from error
    except discord.PrivilegedIntentsRequired as error:
        raise ConfigError(f"Discord refuses the intent members: {check.PORTAL}, and start the bot again") from error
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        raise Unavailable(f"Discord does not answer ({error}); try again, or see https://discordstatus.com") from error


async def _run(token: str, say: Say, *, only_check: bool, has_member_commands: bool) -> int:
    flags = await _flags(token)
    found = [*check.portal(flags)]
    bot = _Bot(say, found, only_check=only_check, has_member_commands=has_member_commands)
    async with bot:
        work = asyncio.create_task(bot.start(token, reconnect=not only_check))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        with suppress(asyncio.CancelledError):
            await work
    if only_check:
        return FOUND if found else 0
    say("stopped")
    return 0


async def _flags(token: str) -> discord.ApplicationFlags:
    """Ask what the bot's owner has allowed it: to ask for an intent that is not allowed is to be thrown out."""
    async with discord.Client(intents=discord.Intents.none()) as client:
        await client.login(token)
        return client.application_flags


class _Bot(commands.Bot):
    """found: what is missing so far; completed when the bot is ready."""

    def __init__(self, say: Say, found: list[str], *, only_check: bool, has_member_commands: bool) -> None:
        intents = discord.Intents(**{name: True for name in check.INTENTS if name != "members" or not found})
        super().__init__(commands.when_mentioned, intents=intents, help_command=None)
        self._say, self._found = say, found
        self._only_check, self._has_member_commands = only_check, has_member_commands
        self._is_told = False

    async def setup_hook(self) -> None:
        if not self._only_check:
            await self.add_cog(ParticipationCog(self))

    async def on_ready(self) -> None:
        if not self._is_told:
            self._is_told = True
            self._tell()
        if self._only_check:
            await self.close()

    def _tell(self) -> None:
        self._say(f"discord: {self.user}, application {self.application_id}")
        self._found += check.guilds(self)
        for text in self._found:
            self._say(f"missing: {text}")
        for text in check.hidden(self):
            self._say(f"hidden: {text}")
        if not self._found:
            self._say(f"nothing is missing in {len(self.guilds)} guild(s)")
        if not self._only_check:
            self._say("running; Ctrl-C stops it")
