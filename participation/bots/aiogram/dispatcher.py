"""aiogram: the adapter sees every update of a dispatcher, by polling or by a webhook, before the bot does.

In: updates, as `aiogram.types.Update`. Out: events, through the recorder. The dispatcher handles updates as before.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from participation import extras
from participation.bots.bot_api.listener import Listener
from participation.bots.bot_api.mapping import ALLOWED_UPDATES
from participation.bots.bot_api.member_commands import MemberCommands
from participation.publish import Publisher

if TYPE_CHECKING:
    from aiogram import Dispatcher

Handler = Callable[[Any, dict[str, Any]], Awaitable[Any]]


class Participation:
    """Records what happens in the groups of a dispatcher's bots.

    communities: the community_id of chats, by the chat's id; the default is `telegram:<chat id>`. publisher: one to
    share with other code. member_commands: whether to answer members who ask what is kept about them; that needs
    `DATABASE_URL`. Raises `ConfigError` if aiogram or a setting is missing.
    """

    def __init__(
        self,
        communities: Mapping[int, str] | None = None,
        publisher: Publisher | None = None,
        *,
        member_commands: bool = False,
    ) -> None:
        extras.require("aiogram")
        from aiogram.types import BufferedInputFile

        self._listener = Listener(
            communities, publisher, MemberCommands(BufferedInputFile) if member_commands else None
        )

    def setup(self, dispatcher: "Dispatcher") -> None:
        """Record from now on, and make polling ask for the updates that are needed."""
        from aiogram import Router
        from aiogram.dispatcher.event.handler import HandlerObject

        _put_first(dispatcher.update.outer_middleware, self._see)
        router = Router(name="participation")
        for kind in ALLOWED_UPDATES:
            router.observers[kind].register(_nothing, _never)
        dispatcher.include_router(router)
        # First, because a handler that fails keeps those after it from running.
        dispatcher.shutdown.handlers.insert(0, HandlerObject(callback=self.close))

    async def close(self) -> None:
        """Wait a few seconds until Redis has everything. The dispatcher's shutdown calls this."""
        await self._listener.close()

    async def _see(self, handler: Handler, update: Any, data: dict[str, Any]) -> Any:
        self._listener.see(update, data["bot"])
        return await handler(update, data)


def _put_first(manager: Any, middleware: Any) -> None:
    """Register a middleware before the existing ones, because those may delay or drop updates."""
    others = [*manager]
    for each in others:
        manager.unregister(each)
    for each in (middleware, *others):
        manager.register(each)


def _never(_event: Any) -> bool:
    """A filter that no update passes, so that the bot's own middlewares around handlers do not run for ours."""
    return False


async def _nothing(_event: Any) -> None:
    """A handler that never runs. aiogram asks Telegram only for updates that have a handler."""
