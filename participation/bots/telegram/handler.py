"""The handler that sees every update of python-telegram-bot and handles none."""

from typing import Any

from telegram import Update
from telegram.ext import CallbackContext, TypeHandler

from participation.bots.telegram.listener import Listener


class See(TypeHandler[Update, CallbackContext[Any, Any, Any, Any], None]):
    """Looks at an update while the application asks whether it is for this handler, and says no.

    To handle it, in whatever way, would have the application build a context for it and mark the data of its chat and
    of its user to be saved, for every update of a bot that perhaps handles none of them.
    """

    def __init__(self, listener: Listener, bot: Any) -> None:
        super().__init__(Update, _nothing)
        self._listener = listener
        self._bot = bot

    def check_update(self, update: object) -> bool:
        if isinstance(update, Update):
            self._listener.see(update, self._bot)
        return False


async def _nothing(_update: Update, _context: CallbackContext[Any, Any, Any, Any]) -> None:
    """Be what a handler must have; it is never called."""
