"""A bot of python-telegram-bot that greets, and records who takes part.

Install participation[telegram], set BOT_TOKEN and REDIS_URL, and: python telegram_bot.py
"""

import logging
import os

from telegram import Update
from telegram.ext import Application, CommandHandler, ContextTypes

from participation.bots.telegram import add_participation


async def hello(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    if update.message:
        await update.message.reply_text("Ahoy!")


def main() -> None:
    server = os.environ.get("BOT_API_URL", "https://api.telegram.org")
    app = Application.builder().token(os.environ["BOT_TOKEN"]).base_url(f"{server}/bot").build()
    app.add_handler(CommandHandler("hello", hello))
    add_participation(app)
    app.run_polling(allowed_updates=Update.ALL_TYPES)  # Telegram leaves reactions, joins and leaves out by default


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the token with every request
    main()
