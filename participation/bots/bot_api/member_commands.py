"""The member commands on Telegram: members ask what is kept about them, get their data, erase it, and opt out or in.

In: messages, from the listener. Out: answers, through the bot of either library. Personal data is sent only to private
chats. In a group the answer is a link to the private chat. The bot's own handlers get the message too.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from participation import log
from participation.bots.bot_api import mapping
from participation.bots.bot_api.types import Bot, Message
from participation.bots.member_answers import COMMANDS, Answer, MemberAnswers
from participation.platforms import telegram

CONFIRMED: Final = "_yes"
"""The suffix of a command that erases without asking again. Members need not type it: Telegram shows it as a link."""

ERASING: Final = ("forget_me", "opt_out")

NAMES: Final = {*COMMANDS, *(f"{name}{CONFIRMED}" for name in ERASING)}

DEEP_LINK: Final = "/start privacy"
"""The message that Telegram sends when a member follows the link to the private chat."""

AGAIN_SECONDS: Final = 60.0
"""The shortest time between two answers in one group. Telegram limits how much a bot may write there."""

GROUPS: Final = 4_096
"""For how many groups the time of the last answer is remembered."""

CLOSE_SECONDS: Final = 5.0
"""How long `close` waits for answers."""


class MemberCommands:
    """Answers the members who write to the bots of one program. Its methods never raise.

    file: returns the library's object for a document, for its content and its file name.
    """

    def __init__(self, file: Callable[[bytes, str], object]) -> None:
        self._file = file
        self._members = MemberAnswers(telegram.PLATFORM)
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: dict[int, str] = {}
        self._answered_at: dict[int, float] = {}

    def hear(self, message: Message, bot: Bot) -> None:
        """Start to answer if the message is one of the commands."""
        first, _, bot_name = str(message.text or "").partition(" ")[0].partition("@")
        name = "privacy" if message.text == DEEP_LINK else first.removeprefix("/")
        if name in NAMES and first.startswith("/") and message.from_user and not message.from_user.is_bot:
            task = asyncio.get_running_loop().create_task(
                self._answer_and_log_errors(name, bot_name, message.from_user.id, message, bot)
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a few seconds for the answers that are not sent yet, and disconnect from the database."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        await self._members.close()

    async def _answer_and_log_errors(self, name: str, bot_name: str, user_id: int, message: Message, bot: Bot) -> None:
        try:
            await self._answer(name, bot_name, user_id, message, bot)
        except Exception as error:
            # The error's text is not logged, because it may contain the account, or a URL with the token.
            log.event("member_answer_failed", level=logging.WARNING, command=name, error=type(error).__name__)

    async def _answer(self, name: str, bot_name: str, user_id: int, message: Message, bot: Bot) -> None:
        own_name = await self._name(bot)
        if bot_name and bot_name.lower() != own_name.lower():
            return
        if message.chat.type == "private":
            answer = await self._private(name, str(user_id))
        elif mapping.is_group(message.chat) and self._may_answer_in(message.chat.id):
            answer = Answer(f"Please ask me privately: https://t.me/{own_name}?start=privacy")
        else:
            return
        topic = {"message_thread_id": message.message_thread_id} if message.is_topic_message else {}
        if answer.content is None:
            await bot.send_message(message.chat.id, answer.text, **topic)
        else:
            document = self._file(answer.content, answer.file_name or "")
            await bot.send_document(message.chat.id, document, caption=answer.text, **topic)

    async def _name(self, bot: Bot) -> str:
        if bot.id not in self._names:
            self._names[bot.id] = (await bot.get_me()).username or ""
        return self._names[bot.id]

    def _may_answer_in(self, chat_id: int) -> bool:
        now = time.monotonic()
        if now < self._answered_at.get(chat_id, -math.inf) + AGAIN_SECONDS:
            return False
        self._answered_at[chat_id] = now
        if len(self._answered_at) > GROUPS:
            del self._answered_at[min(self._answered_at, key=self._answered_at.__getitem__)]
        return True

    async def _private(self, name: str, account_id: str) -> Answer:
        if name == "privacy":
            return Answer(await asyncio.to_thread(self._members.privacy))
        if name == "my_data":
            return await self._members.my_data(account_id)
        if name in ERASING:
            return Answer(f"{COMMANDS[name]}. You cannot undo this. To confirm, send /{name}{CONFIRMED}")
        do: Callable[[str], Awaitable[str]] = getattr(self._members, name.removesuffix(CONFIRMED))
        return Answer(await do(account_id))
