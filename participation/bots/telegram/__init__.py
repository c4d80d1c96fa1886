"""python-telegram-bot: `add_participation(app)`. Also what the adapter for aiogram shares with it."""

from participation.bots.telegram.application import add_participation
from participation.bots.telegram.mapping import ALLOWED_UPDATES

__all__ = ["ALLOWED_UPDATES", "add_participation"]
