"""Adapters: one line in a bot of discord.py, aiogram or python-telegram-bot hands every event to the publisher."""
