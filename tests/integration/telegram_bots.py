"""A bot for each library, with handlers of its own and the adapter. It runs in a thread, with the stand-in."""

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiogram
import telegram
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from telegram.ext import Application, ApplicationBuilder, TypeHandler

from participation.bots.aiogram import Participation
from participation.bots.telegram import ALLOWED_UPDATES, add_participation
from participation.local.processes import wait_until
from tests.standins.telegram import TOKEN, Telegram
from tests.worker import SECONDS, eventually

Communities = Mapping[int, str] | None


class _Threaded:
    """Runs a bot in a thread until the block ends. heard: the ids of the updates that its own handlers received."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as failure:
            self.failure = failure

    def run(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


def session(server: Telegram) -> AiohttpSession:
    return AiohttpSession(api=TelegramAPIServer.from_base(server.url))


async def close(http: AiohttpSession) -> None:
    """Close the session like its own `close`, but without the wait of 0.25 s for TLS."""
    if http._session is not None:
        await http._session.close()


class AiogramBot(_Threaded):
    """A bot with aiogram that polls. fails: whether its handler raises an error after it has noted the update."""

    def __init__(
        self, server: Telegram, communities: Communities = None, *, installed: bool = True, **options: Any
    ) -> None:
        super().__init__()
        self._server = server
        self.dispatcher = aiogram.Dispatcher()
        self.fails = False
        for kind in ("message", "edited_message", "message_reaction", "chat_member", "my_chat_member"):
            self.dispatcher.observers[kind].register(self._hear)
        self._loop: asyncio.AbstractEventLoop | None = None
        if installed:
            self.participation = Participation(communities, **options)
            self.participation.setup(self.dispatcher)

    async def _hear(self, _event: Any, event_update: aiogram.types.Update) -> None:
        self.heard.append(event_update.update_id)
        if self.fails:
            raise ValueError("the bot's own mistake")

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        bot = aiogram.Bot(TOKEN, session=(http := session(self._server)))
        try:
            await self.dispatcher.start_polling(bot, handle_signals=False, close_bot_session=False)
        finally:
            await close(http)

    def stop(self) -> None:
        if wait_until(lambda: self.dispatcher._stop_signal is not None or not self._thread.is_alive(), SECONDS):
            assert self._loop is not None
            asyncio.run_coroutine_threadsafe(self.dispatcher.stop_polling(), self._loop).result(SECONDS)


def application(server: Telegram) -> ApplicationBuilder[Any, Any, Any, Any, Any, Any]:
    return ApplicationBuilder().token(TOKEN).base_url(f"{server.url}/bot")


class TelegramBot(_Threaded):
    """A bot with python-telegram-bot that polls. fails: whether its handler raises an error after noting the update."""

    def __init__(
        self, server: Telegram, communities: Communities = None, *, installed: bool = True, **options: Any
    ) -> None:
        super().__init__()
        self.fails = False
        self.app: Application[Any, Any, Any, Any, Any, Any] = application(server).build()
        self.app.add_handler(TypeHandler(telegram.Update, self._hear))
        self.app.add_error_handler(self._note_error)
        self.errors: list[object] = []
        self.allowed_updates: list[str] | None = [*ALLOWED_UPDATES, "edited_message"]
        if installed:
            self.participation = add_participation(self.app, communities, **options)

    async def _hear(self, update: telegram.Update, _context: Any) -> None:
        self.heard.append(update.update_id)
        if self.fails:
            raise ValueError("the bot's own mistake")

    async def _note_error(self, _update: object, context: Any) -> None:
        self.errors.append(context.error)

    def run(self) -> None:
        # Before 22.4 python-telegram-bot takes the loop of its thread and makes none.
        asyncio.set_event_loop(asyncio.new_event_loop())
        self.app.run_polling(stop_signals=None, allowed_updates=self.allowed_updates, timeout=5)

    def stop(self) -> None:
        eventually(lambda: self.app.running or not self._thread.is_alive())

        async def stop() -> None:
            self.app.stop_running()

        loop = self._loop()
        asyncio.run_coroutine_threadsafe(stop(), loop)

    def _loop(self) -> asyncio.AbstractEventLoop:
        fetcher: asyncio.Task[None] = self.app._Application__update_fetcher_task  # type: ignore[attr-defined]
        return fetcher.get_loop()


BOTS = {"aiogram": AiogramBot, "telegram": TelegramBot}
