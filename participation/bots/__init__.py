"""Adapters for discord.py, aiogram and python-telegram-bot. One line in a bot sends its events to the publisher."""
