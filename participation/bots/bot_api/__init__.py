"""Telegram's Bot API: what the adapters for aiogram and python-telegram-bot share."""
