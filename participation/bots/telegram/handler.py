"""The handler that reads every update of python-telegram-bot, and handles none."""

from typing import Any

from telegram import Update
from telegram.ext import CallbackContext, TypeHandler

from participation.bots.bot_api.listener import Listener
from participation.bots.bot_api.types import Bot


class See(TypeHandler[Update, CallbackContext[Any, Any, Any, Any], None]):
    """Reads an update when the application asks whether this handler handles it, and answers no.

    If it answered yes, the application would build a context and save the data of the chat and of the user for every
    update, even for updates that the bot does not handle.
    """

    def __init__(self, listener: Listener, bot: Bot) -> None:
        super().__init__(Update, _do_nothing)
        self._listener = listener
        self._bot = bot

    def check_update(self, update: object) -> bool:
        if isinstance(update, Update):
            self._listener.see(update, self._bot)
        return False


async def _do_nothing(_update: Update, _context: CallbackContext[Any, Any, Any, Any]) -> None:
    """Never run. A handler must have a callback."""
