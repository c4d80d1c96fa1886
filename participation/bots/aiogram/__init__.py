"""The adapter for aiogram: `Participation().setup(dispatcher)`."""

from participation.bots.aiogram.dispatcher import Participation

__all__ = ["Participation"]
