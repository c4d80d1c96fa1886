"""Adds the adapter to a bot: `ParticipationCog` to a `commands.Bot`, `attach` to any other `discord.Client`."""

import asyncio
from collections.abc import Callable

import discord
from discord.ext import commands

from participation.bots.discord.listener import Listener
from participation.bots.options import Channels, Communities, check_flag, check_type
from participation.bots.recorder import Recorder
from participation.platforms.discord import PLATFORM
from participation.publish import Publisher


class ParticipationCog(commands.Cog, name="Participation"):
    """Records what members do. Add it in `setup_hook`: `await bot.add_cog(ParticipationCog(bot))`.

    communities: the community_id of guilds, by the guild's id. The default is `discord:<guild id>`. record_authors:
    whether to record who wrote the message that a reaction is for. Discord forbids profiling members by their
    relations. publisher: a publisher that other code of the bot uses too. The default is a new one. ignored_channels:
    ids of channels and categories; what happens in them and below them never leaves the bot. Raises `ConfigError` if
    REDIS_URL is missing or an argument is wrong.
    """

    def __init__(
        self,
        bot: commands.Bot,
        *,
        communities: Communities | None = None,
        record_authors: bool = False,
        publisher: Publisher | None = None,
        ignored_channels: Channels | None = None,
    ) -> None:
        _check("bot", bot, record_authors=record_authors)
        recorder = Recorder(PLATFORM, communities, publisher, ignored_channels)
        self._listener = Listener(bot, recorder, record_authors=record_authors)
        self._bot = bot

    async def cog_load(self) -> None:
        _start(self._bot, self._listener)

    async def cog_unload(self) -> None:
        # `Bot.close` unloads cogs before it closes the connection.
        await self._listener.stop()


def attach(
    client: discord.Client,
    *,
    communities: Communities | None = None,
    record_authors: bool = False,
    publisher: Publisher | None = None,
    ignored_channels: Channels | None = None,
) -> None:
    """Record what members do. Call this before `client.run()` or in `setup_hook`.

    The options and errors are those of `ParticipationCog`.
    """
    _check("client", client, record_authors=record_authors)
    recorder = Recorder(PLATFORM, communities, publisher, ignored_channels)
    listener = Listener(client, recorder, record_authors=record_authors)
    close = client.close

    async def stop_and_close() -> None:
        await listener.stop()
        await close()

    client.close = stop_and_close  # type: ignore[method-assign]
    _start(client, listener)


def _check(name: str, client: discord.Client, *, record_authors: bool) -> None:
    check_type(name, client, discord.Client)
    check_flag("record_authors", record_authors)


def _start(client: discord.Client, listener: Listener) -> None:
    """Start now. If the client has no event loop yet, start when it connects."""
    if isinstance(client.loop, asyncio.AbstractEventLoop):
        listener.start()
    else:
        _before_connect(client, listener.start)


def _before_connect(client: discord.Client, start: Callable[[], None]) -> None:
    # `setup_hook` does not work here, because a later `@client.event` of the bot would replace ours.
    connect = client.connect

    async def start_and_connect(*, reconnect: bool = True) -> None:
        start()
        await connect(reconnect=reconnect)

    client.connect = start_and_connect  # type: ignore[method-assign]
