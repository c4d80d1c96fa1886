"""A complete bot for Telegram with aiogram. It answers /hello, and records what members do.

Install community-participation[aiogram] as docs/install.md says, set BOT_TOKEN and REDIS_URL, and run this file.
"""

import asyncio
import logging
import os

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.filters import Command
from aiogram.types import Message

from participation.bots.aiogram import Participation

dispatcher = Dispatcher()
Participation().setup(dispatcher)


@dispatcher.message(Command("hello"))
async def hello(message: Message) -> None:
    await message.answer("Ahoy!")


async def main() -> None:
    server = TelegramAPIServer.from_base(os.environ.get("BOT_API_URL", "https://api.telegram.org"))
    async with Bot(os.environ["BOT_TOKEN"], session=AiohttpSession(api=server)) as bot:
        await dispatcher.start_polling(bot)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)  # it logs an INFO line for every update
    asyncio.run(main())
