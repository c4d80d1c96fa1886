"""Our own bot for Telegram, for communities that have none: it polls, records, and says at its start what it lacks.

In: the token and the server, from the settings. Out: events, through the adapter. It handles no update itself.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    TelegramConflictError,
    TelegramNotFound,
    TelegramUnauthorizedError,
)
from aiogram.types import BotCommand, BotCommandScopeAllPrivateChats
from aiogram.utils.token import TokenValidationError

from participation import log, settings
from participation.bots.aiogram.dispatcher import Participation
from participation.bots.bot_api import self_check
from participation.bots.bot_api.chats import Chats
from participation.bots.member_answers import COMMANDS
from participation.errors import ConfigError, Unavailable
from participation.settings import Settings

VARIABLE: Final = "PARTICIPATION_TELEGRAM_TOKEN"

NO_GROUP: Final = (
    "nothing is missing of what can be checked; no group is known yet: start the bot, write something in the group, "
    "and check again"
)

FOUND: Final = 2
"""Exit code of a check that finds something."""

Say = Callable[[str], object]


def run(say: Say, *, only_check: bool, member_commands: bool) -> int:
    """Check what the bot may see, and unless that is all, run until SIGINT or SIGTERM; return the exit code.

    say: writes a line for people. member_commands: as in `Participation`. Raises `ConfigError` for a setting or a state
    that lets nothing be seen, and `Unavailable` when Telegram does not answer at the start.
    """
    configured = settings.load()
    token = configured.telegram_token.get_secret_value().strip() if configured.telegram_token else ""
    if not token:
        raise ConfigError(f"{VARIABLE} is not set: put the token that BotFather gave you into the environment or .env")
    if member_commands:
        configured.database()
    # Some errors of the libraries below name the URL, and the token is part of it.
    if not only_check:
        _log_without(token)
    try:
        return asyncio.run(_run(configured, token, say, only_check=only_check, member_commands=member_commands))
    except (TelegramUnauthorizedError, TelegramNotFound, TokenValidationError) as error:
        raise ConfigError(
            f"{VARIABLE}: Telegram does not know this token: copy it from BotFather once more, whole"
        ) from error
    except (AiogramError, OSError, ValueError) as error:
        raise Unavailable(
            f"Telegram at {configured.telegram_api_url}: {_without(token, str(error))}; is the address right, and the "
            "network there?"
        ) from error


async def _run(configured: Settings, token: str, say: Say, *, only_check: bool, member_commands: bool) -> int:
    async with _bot(configured, token) as bot:
        found = await _check(bot, configured, say)
        if only_check:
            return FOUND if found else 0
        bot.session.middleware(_explain_conflicts)
        dispatcher = Dispatcher(disable_fsm=True)
        Participation(member_commands=member_commands).setup(dispatcher)
        if member_commands:
            commands = [BotCommand(command=name, description=text) for name, text in COMMANDS.items()]
            await bot.set_my_commands(commands, BotCommandScopeAllPrivateChats())
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
    """Say who the bot is and what it lacks; return that. Raises `ConfigError` if something else gets its updates."""
    me = await bot.get_me()
    say(f"telegram: @{me.username}, id {me.id}")
    if url := (await bot.get_webhook_info()).url:
        raise ConfigError(
            f"a webhook is set at {urlsplit(url).hostname}, so Telegram gives @{me.username}'s updates to that: let "
            "the program behind it record, or use deleteWebhook if there is none any more"
        )
    folder = settings.folder("PARTICIPATION_SPOOL_DIR", configured.spool_dir)
    known = Chats(folder, {}).of(me.id)
    found = [*self_check.settings(me), *[text async for text in self_check.chats(bot, known)]]
    for text in found:
        say(f"missing: {text}")
    if not found:
        say(f"nothing is missing in {len(known)} group(s)" if known else NO_GROUP)
    return found


async def _explain_conflicts(make_request: Any, bot: Bot, method: Any) -> Any:
    """Say in plain words what aiogram logs as a conflict, and then tries again."""
    try:
        return await make_request(bot, method)
    except TelegramConflictError:
        _throttle.warn(
            "telegram_conflict",
            advice="another program asks for this bot's updates, by polling or a webhook, and each of them gets only a "
            "part or nothing; stop one of the two",
            bot=bot.id,
        )
        raise


_throttle = log.Throttle()


class _Discreet(logging.Formatter):
    """Writes lines, and tracebacks, in which the token does not occur."""

    def __init__(self, token: str) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        return _without(self._token, super().format(record))


def _log_without(token: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Discreet(token))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)  # a line for every update


def _without(token: str, text: str) -> str:
    """Return the text without the secret part of the token, which stands after its colon."""
    secret = token.rpartition(":")[2]
    return text.replace(secret, "…") if secret else text
