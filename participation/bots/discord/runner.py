"""The bundled bot for Discord, for communities without a bot. It records, and prints at its start what it cannot see.

In: the token, from the settings. Out: events, through the adapter.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import aiohttp
import discord
from discord.ext import commands

from participation import settings
from participation.bots.discord import registration, self_check
from participation.bots.discord.adapter import ParticipationCog
from participation.bots.discord.member_commands import MemberCommands
from participation.bots.member_answers import registered
from participation.bots.options import check_ignored_channels
from participation.errors import ConfigError, Unavailable
from participation.platforms.discord import PLATFORM

VARIABLE: Final = "PARTICIPATION_DISCORD_TOKEN"

FOUND: Final = 2
"""The exit code of a check that finds that something is missing."""

Say = Callable[[str], object]


def run(say: Say, *, only_check: bool, member_commands: bool, ignored_channels: Sequence[str] = ()) -> int:
    """Check what the bot can see, and then run it until SIGINT or SIGTERM. Return the exit code.

    say: prints a line. only_check: whether to end after the check. member_commands: whether to add `MemberCommands`.
    ignored_channels: as in `ParticipationCog`. Raises `ConfigError` if an option or a setting is missing or wrong, for
    example the token, and `Unavailable` if Discord does not answer at the start.
    """
    check_ignored_channels(PLATFORM, ignored_channels)
    configured = settings.load().discord_token
    token = configured.get_secret_value().strip() if configured else ""
    if not token:
        raise ConfigError(
            f"{VARIABLE} is not set: put the bot's token into the environment or .env; Discord shows the token once, "
            "under Bot at https://discord.com/developers/applications"
        )
    if member_commands:
        settings.load().database()
    level = logging.WARNING if only_check else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # The bot does not join voice channels, so the warnings about missing voice libraries do not apply.
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    try:
        work = _run(
            token, say, only_check=only_check, member_commands=member_commands, ignored_channels=ignored_channels
        )
        return asyncio.run(work)
    except discord.LoginFailure as error:
        raise ConfigError(
            f"{VARIABLE}: Discord does not know this token: reset it under Bot at "
            "https://discord.com/developers/applications, and copy the whole new token"
        ) from error
    except discord.PrivilegedIntentsRequired as error:
        raise ConfigError(
            f"Discord refuses the intent members: {self_check.PORTAL}, and start the bot again"
        ) from error
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        raise Unavailable(f"Discord does not answer ({error}); try again, or see https://discordstatus.com") from error


async def _run(
    token: str, say: Say, *, only_check: bool, member_commands: bool, ignored_channels: Sequence[str]
) -> int:
    found = [*self_check.portal(await _flags(token))]
    async with _Bot(say, has_members_intent=not found, has_commands=None if only_check else member_commands) as bot:
        if not only_check:
            await bot.add_cog(ParticipationCog(bot, ignored_channels=ignored_channels))
        work = asyncio.create_task(bot.start(token, reconnect=not only_check))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        if is_ready := await _is_ready(bot, work):
            found += self_check.guilds(bot)
            _print_findings(bot, found, say)
            if only_check:
                work.cancel()
            else:
                say("running; Ctrl-C stops it")
        with suppress(asyncio.CancelledError):
            await work
    if only_check:
        return FOUND if found or not is_ready else 0
    say("stopped")
    return 0


async def _flags(token: str) -> discord.ApplicationFlags:
    """Ask Discord which intents the bot's owner has allowed. Discord disconnects a bot that requests another one."""
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(token)
        return client.application_flags


async def _is_ready(bot: discord.Client, work: asyncio.Task[None]) -> bool:
    """Wait until the bot knows its guilds. Return False if it ended before that."""
    ready = asyncio.create_task(bot.wait_until_ready())
    await asyncio.wait({ready, work}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    return not work.done()


def _print_findings(bot: discord.Client, found: list[str], say: Say) -> None:
    say(f"discord: {bot.user}, application {bot.application_id}")
    for text in found:
        say(f"missing: {text}")
    for text in self_check.hidden(bot):
        say(f"hidden: {text}")
    if not found:
        say(f"nothing is missing in {len(bot.guilds)} guild(s)")


class _Bot(commands.Bot):
    """has_commands: whether Discord lists the member commands. None leaves the list as it is."""

    def __init__(self, say: Say, *, has_members_intent: bool, has_commands: bool | None) -> None:
        wanted = {name: True for name in self_check.INTENTS if name != "members" or has_members_intent}
        super().__init__(commands.when_mentioned, intents=discord.Intents(**wanted), help_command=None)
        self._say = say
        self._has_commands = has_commands

    async def setup_hook(self) -> None:
        if self._has_commands is None:
            return
        if self._has_commands:
            await self.add_cog(MemberCommands())
        if changed := await (registration.add if self._has_commands else registration.remove)(self.tree):
            self._say(registered(changed, member_commands=self._has_commands))
