"""aiogram: every update that a dispatcher is fed, by polling or by a webhook, goes past us first.

In: updates, as `aiogram.types.Update`. Out: events, through the recorder. The dispatcher goes on as if we were not
there.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from participation.bots.telegram.commands import Commands
from participation.bots.telegram.listener import Listener
from participation.bots.telegram.mapping import ALLOWED_UPDATES
from participation.errors import ConfigError
from participation.publish import Publisher

if TYPE_CHECKING:
    from aiogram import Dispatcher

Handler = Callable[[Any, dict[str, Any]], Awaitable[Any]]


class Participation:
    """Records what happens in the groups of a dispatcher's bots.

    communities: from chat ids to the community_id of those that do not take the default, `telegram:<chat id>`.
    publisher: one that is used elsewhere, too. member_commands: whether to answer members who ask for what is kept
    about them; that needs `DATABASE_URL`. Raises `ConfigError` if aiogram or a setting is missing.
    """

    def __init__(
        self,
        communities: Mapping[int, str] | None = None,
        publisher: Publisher | None = None,
        *,
        member_commands: bool = False,
    ) -> None:
        try:
            from aiogram.types import BufferedInputFile
        except ImportError as error:
            raise ConfigError(
                "aiogram is not installed: install participation[aiogram], as docs/bots.md says"
            ) from error
        self._listener = Listener(communities, publisher, Commands(BufferedInputFile) if member_commands else None)

    def setup(self, dispatcher: "Dispatcher") -> None:
        """Record from now on, and have what is needed asked for when the polling starts."""
        from aiogram import Router
        from aiogram.dispatcher.event.handler import HandlerObject

        _put_first(dispatcher.update.outer_middleware, self._see)
        router = Router(name="participation")
        for kind in ALLOWED_UPDATES:
            router.observers[kind].register(_nothing, _never)
        dispatcher.include_router(router)
        # First, for a handler that fails ends the shutdown of those after it.
        dispatcher.shutdown.handlers.insert(0, HandlerObject(callback=self.close))

    async def close(self) -> None:
        """Wait a few seconds until Redis has everything. The dispatcher's shutdown does it."""
        await self._listener.close()

    async def _see(self, handler: Handler, update: Any, data: dict[str, Any]) -> Any:
        self._listener.see(update, data["bot"])
        return await handler(update, data)


def _put_first(manager: Any, middleware: Any) -> None:
    """Register a middleware before those that are there: one of them may hold updates back or drop them."""
    others = [*manager]
    for each in others:
        manager.unregister(each)
    for each in (middleware, *others):
        manager.register(each)


def _never(_event: Any) -> bool:
    """Let no update through, so that the bot's own middlewares around handlers do not run for ours."""
    return False


async def _nothing(_event: Any) -> None:
    """Be there: `resolve_used_update_types` asks for what somebody handles, and does not look at middlewares."""
