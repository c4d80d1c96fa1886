"""A bot that receives messages at a steady rate, with or without our adapter, and handles them itself.

`python -m benchmarks.contenders.adapter LIBRARY with|without COUNT PACE` prints one line: the median and the 99th
percentile of the time from when the library received an update until the bot's own handler ran, in microseconds.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from statistics import median, quantiles
from typing import Any, Final

WARM: Final = 200
"""Updates before the measured ones. With the first ones, the bot connects, or finds that Redis does not answer."""

Handled = dict[int, float]
"""The time at which the handler ran, by the number of the update."""


async def paced(count: int, pace: float, hand_over: Callable[[int], Awaitable[float]]) -> list[float]:
    """Give updates to the library in an open loop; return the time of each."""
    begun = time.perf_counter()
    handed = []
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / pace - time.perf_counter()))
        handed.append(await hand_over(number))
    return handed


async def with_aiogram(count: int, pace: float, *, is_with: bool) -> tuple[list[float], Handled]:
    import aiogram

    from participation.bots.aiogram import Participation
    from tests.standins.telegram import TOKEN

    handled: Handled = {}
    dispatcher = aiogram.Dispatcher()

    @dispatcher.message()
    async def handle(sent: aiogram.types.Message) -> None:
        handled[sent.message_id] = time.perf_counter()

    if is_with:
        Participation().setup(dispatcher)
    async with aiogram.Bot(TOKEN) as bot:
        updates = [aiogram.types.Update.model_validate(update(number)) for number in range(count)]

        async def hand_over(number: int) -> float:
            now = time.perf_counter()
            await dispatcher.feed_update(bot, updates[number])
            return now

        handed = await paced(count, pace, hand_over)
        await dispatcher.emit_shutdown(bot=bot)
    return handed, handled


async def with_telegram(count: int, pace: float, *, is_with: bool) -> tuple[list[float], Handled]:
    import telegram
    from telegram.ext import ApplicationBuilder, TypeHandler

    from participation.bots.telegram import add_participation
    from tests.standins.telegram import TOKEN, Telegram

    handled: Handled = {}

    async def handle(given: telegram.Update, _: object) -> None:
        handled[given.message.message_id if given.message else -1] = time.perf_counter()

    with Telegram() as server:
        app = ApplicationBuilder().token(TOKEN).base_url(f"{server.url}/bot").build()
        app.add_handler(TypeHandler(telegram.Update, handle))
        listener = add_participation(app) if is_with else None
        async with app:
            updates = [telegram.Update.de_json(update(number), app.bot) for number in range(count)]

            async def hand_over(number: int) -> float:
                now = time.perf_counter()
                await app.process_update(updates[number])
                return now

            handed = await paced(count, pace, hand_over)
        if listener:
            await listener.close()
    return handed, handled


def update(number: int) -> dict[str, Any]:
    from tests.standins.telegram_updates import ADA, HARBOUR, message

    return {"update_id": number + 1, **message(HARBOUR, ADA, number + 1, datetime.now(UTC))}


async def with_discord(count: int, pace: float, *, is_with: bool) -> tuple[list[float], Handled]:
    import discord

    from participation.bots.discord import attach
    from tests.standins import discord as platform
    from tests.standins.discord_payloads import User

    handed, handled = {}, {}

    class Client(discord.Client):
        def dispatch(self, event: str, /, *arguments: Any, **options: Any) -> None:
            if event == "message":
                handed[arguments[0].id] = time.perf_counter()
            super().dispatch(event, *arguments, **options)

        async def on_message(self, sent: discord.Message) -> None:
            handled[sent.id] = time.perf_counter()

    ada = User(1, "ada")
    async with platform.standing_in() as server:
        guild = server.guild(7, ada, text=100)
        client = Client(intents=discord.Intents.default(), guild_ready_timeout=0.1)
        if is_with:
            attach(client)
        async with client:
            running = asyncio.create_task(client.start(platform.TOKEN))
            await platform.until(client.is_ready)

            async def hand_over(_: int) -> float:
                await server.message(guild, 100, ada)
                return 0.0

            await paced(count, pace, hand_over)
            await platform.until(lambda: len(handled) == count)
        await running
    numbers = {sent_id: number for number, sent_id in enumerate(handed, 1)}
    return [*handed.values()], {numbers[sent_id]: at for sent_id, at in handled.items()}


LIBRARIES: Final = {"aiogram": with_aiogram, "telegram": with_telegram, "discord": with_discord}


def main() -> None:
    library, is_with, count, pace = sys.argv[1], sys.argv[2] == "with", int(sys.argv[3]), float(sys.argv[4])
    handed, handled = asyncio.run(LIBRARIES[library](count + WARM, pace, is_with=is_with))
    if len(handled) != count + WARM:
        raise AssertionError(f"{len(handled):,} of {count + WARM:,} updates reached the bot's handler")
    took = [1e6 * (handled[number] - at) for number, at in enumerate(handed, 1)][WARM:]
    print(median(took), quantiles(took, n=100)[98], flush=True)
    # Do not move the events that wait for Redis to the spool, because this is not measured here.
    os._exit(0)


if __name__ == "__main__":
    main()
