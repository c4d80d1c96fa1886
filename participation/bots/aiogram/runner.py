"""The bundled bot for Telegram, for communities without a bot. It polls, records, and prints what it cannot see.

In: the token and the server, from the settings. Out: events, through the adapter. The bot itself handles no updates.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.middlewares.base import NextRequestMiddlewareType
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    TelegramConflictError,
    TelegramNotFound,
    TelegramUnauthorizedError,
)
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.utils.token import TokenValidationError

from participation import log, settings
from participation.bots.aiogram import menu
from participation.bots.aiogram.dispatcher import Participation
from participation.bots.bot_api import self_check
from participation.bots.bot_api.chats import Chats
from participation.bots.member_answers import registered
from participation.bots.options import check_ignored_channels
from participation.errors import ConfigError, Unavailable
from participation.platforms.telegram import PLATFORM
from participation.settings import Settings

VARIABLE: Final = "PARTICIPATION_TELEGRAM_TOKEN"

NO_GROUP: Final = (
    "nothing is missing so far, but the bot has not seen a group yet: start the bot, write something in the group, and "
    "check again"
)

FOUND: Final = 2
"""The exit code of a check that finds that something is missing."""

Say = Callable[[str], object]


def run(say: Say, *, only_check: bool, member_commands: bool, ignored_channels: Sequence[str] = ()) -> int:
    """Check what the bot can see, and then run it until SIGINT or SIGTERM. Return the exit code.

    say: prints a line. only_check: whether to end after the check. member_commands, ignored_channels: as in
    `Participation`. Raises `ConfigError` if an option is wrong or the bot would see nothing, for example with a wrong
    token, and `Unavailable` if Telegram does not answer at the start.
    """
    check_ignored_channels(PLATFORM, ignored_channels)
    configured = settings.load()
    token = configured.telegram_token.get_secret_value().strip() if configured.telegram_token else ""
    if not token:
        raise ConfigError(f"{VARIABLE} is not set: put the token that BotFather gave you into the environment or .env")
    if member_commands:
        configured.database()
    # Some errors of aiogram and aiohttp contain the URL, and the URL contains the token.
    if not only_check:
        _set_up_logging(token)
    try:
        work = _run(
            token, say, only_check=only_check, member_commands=member_commands, ignored_channels=ignored_channels
        )
        return asyncio.run(work)
    except (TelegramUnauthorizedError, TelegramNotFound, TokenValidationError) as error:
        raise ConfigError(
            f"{VARIABLE}: Telegram does not know this token: copy the whole token from BotFather again"
        ) from error
    except (AiogramError, OSError, ValueError) as error:
        raise Unavailable(
            f"Telegram at {configured.telegram_api_url}: {_hide_token(token, str(error))}; check the address and the "
            "network connection"
        ) from error


async def _run(
    token: str, say: Say, *, only_check: bool, member_commands: bool, ignored_channels: Sequence[str]
) -> int:
    configured = settings.load()
    async with _bot(configured, token) as bot:
        found = await _check(bot, configured, say)
        if only_check:
            return FOUND if found else 0
        bot.session.middleware(_explain_conflicts)
        dispatcher = Dispatcher(disable_fsm=True)
        Participation(member_commands=member_commands, ignored_channels=ignored_channels).setup(dispatcher)
        if changed := await (menu.add if member_commands else menu.remove)(bot):
            say(registered(changed, member_commands=member_commands))
        say("running; Ctrl-C stops it")
        await dispatcher.start_polling(bot, close_bot_session=False)
    say("stopped")
    return 0


@asynccontextmanager
async def _bot(configured: Settings, token: str) -> AsyncIterator[Bot]:
    session = AiohttpSession(api=TelegramAPIServer.from_base(configured.telegram_api_url))
    try:
        yield Bot(token, session=session)
    finally:
        await session.close()


async def _check(bot: Bot, configured: Settings, say: Say) -> list[str]:
    """Print the bot's name and what is missing, and return what is missing.

    Raises `ConfigError` if a webhook gets the bot's updates.
    """
    me = await bot.get_me()
    say(f"telegram: @{me.username}, id {me.id}")
    if url := (await bot.get_webhook_info()).url:
        raise ConfigError(
            f"a webhook is set at {urlsplit(url).hostname}, so Telegram sends @{me.username}'s updates there: add the "
            "adapter to the program behind the webhook, or call deleteWebhook if that program no longer exists"
        )
    folder = settings.folder("PARTICIPATION_SPOOL_DIR", configured.spool_dir)
    known = Chats(folder, {}).of(me.id)
    found = [*self_check.settings(me), *[text async for text in self_check.chats(bot, known)]]
    for text in found:
        say(f"missing: {text}")
    if not found:
        say(f"nothing is missing in {len(known)} group(s)" if known else NO_GROUP)
    return found


async def _explain_conflicts(
    make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[TelegramType]
) -> Response[TelegramType]:
    """Log what a conflict means. aiogram itself logs only Telegram's error, and tries again."""
    try:
        return await make_request(bot, method)
    except TelegramConflictError:
        _throttle.warn(
            "telegram_conflict",
            advice="another program asks for this bot's updates too, by polling or with a webhook, so both miss "
            "updates; stop one of the two",
            bot=bot.id,
        )
        raise


_throttle = log.Throttle()


class _TokenHidingFormatter(logging.Formatter):
    """Formats log records, with their tracebacks, without the token."""

    def __init__(self, token: str) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        return _hide_token(self._token, super().format(record))


def _set_up_logging(token: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_TokenHidingFormatter(token))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)  # it logs an INFO line for every update


def _hide_token(token: str, text: str) -> str:
    """Replace the secret part of the token, which is the part after the colon."""
    secret = token.rpartition(":")[2]
    return text.replace(secret, "…") if secret else text
