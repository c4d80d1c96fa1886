"""The adapter for python-telegram-bot: `add_participation(app)`."""

from participation.bots.bot_api.mapping import ALLOWED_UPDATES
from participation.bots.telegram.application import add_participation

__all__ = ["ALLOWED_UPDATES", "add_participation"]
