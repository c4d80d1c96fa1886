"""The code for Telegram's Bot API that the adapters for aiogram and python-telegram-bot share."""
