"""A complete bot for Telegram with python-telegram-bot. It answers /hello, and records what members do.

Install community-participation[telegram] as docs/install.md says, set BOT_TOKEN and REDIS_URL, and run this file.
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
    app.run_polling(allowed_updates=Update.ALL_TYPES)  # by default, Telegram does not send reactions, joins and leaves


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs the URL of every request, which contains the token
    main()
