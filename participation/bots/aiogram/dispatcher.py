"""The adapter for aiogram. It reads every update of a dispatcher before the bot's own handlers do.

In: updates, as `aiogram.types.Update`, from polling or a webhook. Out: events, through the recorder. The dispatcher
handles updates as before.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from participation import extras
from participation.bots.bot_api.listener import Listener
from participation.bots.bot_api.mapping import ALLOWED_UPDATES
from participation.bots.bot_api.member_commands import MemberCommands
from participation.bots.bot_api.types import Bot, Update
from participation.bots.options import Channels, Communities, check_flag, check_type
from participation.publish import Publisher

if TYPE_CHECKING:
    from aiogram import Dispatcher
    from aiogram.dispatcher.middlewares.manager import MiddlewareManager

Handler = Callable[[Any, dict[str, Any]], Awaitable[Any]]
Middleware = Callable[..., Awaitable[Any]]


class Participation:
    """Records what happens in the groups of a dispatcher's bots.

    communities: the community_id of chats, by the chat's id. The default is `telegram:<chat id>`. publisher: a
    publisher that other code uses too. The default is a new one. member_commands: whether to answer members who ask
    what is kept about them. This needs `DATABASE_URL`. ignored_channels: ids of chats, or of topics as
    `<chat id>/<topic id>`; what happens in them never leaves the bot. Raises `ConfigError` if aiogram or a setting is
    missing, or if an argument is wrong.
    """

    def __init__(
        self,
        communities: Communities | None = None,
        publisher: Publisher | None = None,
        *,
        member_commands: bool = False,
        ignored_channels: Channels | None = None,
    ) -> None:
        extras.require("aiogram")
        from aiogram.types import BufferedInputFile

        commands = MemberCommands(BufferedInputFile) if check_flag("member_commands", member_commands) else None
        self._listener = Listener(communities, publisher, ignored_channels, commands)

    def setup(self, dispatcher: "Dispatcher") -> None:
        """Start to record. Polling then also asks Telegram for the types of updates that are recorded."""
        from aiogram import Dispatcher, Router
        from aiogram.dispatcher.event.handler import HandlerObject

        check_type("dispatcher", dispatcher, Dispatcher)
        _put_first(dispatcher.update.outer_middleware, self._see)
        router = Router(name="participation")
        for kind in ALLOWED_UPDATES:
            router.observers[kind].register(_do_nothing, _match_nothing)
        dispatcher.include_router(router)
        # First, because aiogram does not run the handlers after one that fails.
        dispatcher.shutdown.handlers.insert(0, HandlerObject(callback=self.close))

    async def close(self) -> None:
        """Wait a few seconds until Redis has all events. The dispatcher's shutdown calls this. Repeating is safe."""
        await self._listener.close()

    async def _see(self, handler: Handler, update: Update, data: dict[str, Any]) -> Any:
        bot: Bot = data["bot"]
        self._listener.see(update, bot)
        return await handler(update, data)


def _put_first(manager: "MiddlewareManager", middleware: Middleware) -> None:
    """Register a middleware before the existing ones, because those may delay or drop updates."""
    others = [*manager]
    for each in others:
        manager.unregister(each)
    for each in (middleware, *others):
        manager.register(each)


def _match_nothing(_event: object) -> bool:
    """Let no update pass, so that the bot's own middlewares do not run around our handlers."""
    return False


async def _do_nothing(_event: object) -> None:
    """Never run. This handler only exists because aiogram asks Telegram only for updates that have a handler."""
