"""The two ways into a bot: `ParticipationCog` for `commands.Bot`, `attach` for any `discord.Client`."""

import asyncio
from collections.abc import Callable, Mapping

import discord
from discord.ext import commands

from participation.bots.discord.mapping import PLATFORM
from participation.bots.discord.wiring import Wiring
from participation.bots.recorder import Recorder
from participation.publish import Publisher


class ParticipationCog(commands.Cog, name="Participation"):
    """Records what members do: `await bot.add_cog(ParticipationCog(bot))`, best in `setup_hook`.

    communities: from a guild's id to its community_id, for guilds that do not take the default, `discord:<guild id>`.
    record_authors: also record who wrote the message that a reaction is to (Discord forbids profiling of relations).
    publisher: one that the bot uses for other events, too. Raises `ConfigError` when REDIS_URL is missing.
    """

    def __init__(
        self,
        bot: commands.Bot,
        *,
        communities: Mapping[int, str] | None = None,
        record_authors: bool = False,
        publisher: Publisher | None = None,
    ) -> None:
        self._wiring = Wiring(bot, Recorder(PLATFORM, communities, publisher), record_authors=record_authors)
        self._bot = bot

    async def cog_load(self) -> None:
        _start(self._bot, self._wiring)

    async def cog_unload(self) -> None:
        # `Bot.close` unloads cogs before it closes the connection.
        await self._wiring.stop()


def attach(
    client: discord.Client,
    *,
    communities: Mapping[int, str] | None = None,
    record_authors: bool = False,
    publisher: Publisher | None = None,
) -> None:
    """Record what members do, from before `client.run()` or from `setup_hook`. Options and errors as of the cog."""
    wiring = Wiring(client, Recorder(PLATFORM, communities, publisher), record_authors=record_authors)
    close = client.close

    async def stop_and_close() -> None:
        await wiring.stop()
        await close()

    client.close = stop_and_close  # type: ignore[method-assign]
    _start(client, wiring)


def _start(client: discord.Client, wiring: Wiring) -> None:
    """Start now, or if the client has no event loop yet when it connects."""
    if isinstance(client.loop, asyncio.AbstractEventLoop):
        wiring.start()
    else:
        _before_connect(client, wiring.start)


def _before_connect(client: discord.Client, start: Callable[[], None]) -> None:
    # Not `setup_hook`: a bot that defines it with `@client.event` after this would throw ours away.
    connect = client.connect

    async def start_and_connect(*, reconnect: bool = True) -> None:
        start()
        await connect(reconnect=reconnect)

    client.connect = start_and_connect  # type: ignore[method-assign]
