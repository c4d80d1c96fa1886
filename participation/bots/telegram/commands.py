"""The commands of members: what is kept about me, my data, forget me, opt out, opt in, and the policy.

In: messages, from the listener. Out: answers, through the bot of either library. Personal data goes to private chats
only; in a group the answer is where to ask. The bot's own handlers get the message as well.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from participation.bots.members import COMMANDS, Answer, Members

logger = logging.getLogger(__name__)

SURE: Final = "_yes"
"""What the name of a command ends with that erases without asking back. Telegram makes a link of a command's name."""

ERASING: Final = ("forget_me", "opt_out")

NAMES: Final = {*COMMANDS, *(f"{name}{SURE}" for name in ERASING)}

DEEP_LINK: Final = "/start privacy"
"""What somebody sends who follows the link to the private chat."""

AGAIN_SECONDS: Final = 60.0
"""Least time between two answers in one group: Telegram limits how much the bot may write there."""

GROUPS: Final = 4_096
"""Groups whose last answer is remembered."""

CLOSE_SECONDS: Final = 5.0


class Commands:
    """Answers the members who write to the bots of one program. Never raises.

    file: what the library makes of bytes and a file name, to be sent as a document.
    """

    def __init__(self, file: Callable[[bytes, str], Any]) -> None:
        self._file = file
        self._members = Members("telegram")
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: dict[int, str] = {}
        self._answered_at: dict[int, float] = {}

    def hear(self, message: Any, bot: Any) -> None:
        """Begin to answer, if the message is one of the commands."""
        first, _, bot_name = str(message.text or "").partition(" ")[0].partition("@")
        name = "privacy" if message.text == DEEP_LINK else first.removeprefix("/")
        if name in NAMES and message.text.startswith("/") and message.from_user and not message.from_user.is_bot:
            task = asyncio.get_running_loop().create_task(self._guarded(name, bot_name, message, bot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a few seconds for the answers that are under way, and let go of the database."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        await self._members.close()

    async def _guarded(self, name: str, bot_name: str, message: Any, bot: Any) -> None:
        try:
            await self._answer(name, bot_name, message, bot)
        except Exception as error:
            # Not its text: that may name the account, and the token within a URL.
            logger.warning("member_answer_failed command=%s error=%s", name, type(error).__name__)

    async def _answer(self, name: str, bot_name: str, message: Any, bot: Any) -> None:
        own_name = await self._name(bot)
        if bot_name and bot_name.lower() != own_name.lower():
            return
        if message.chat.type == "private":
            answer = await self._private(name, str(message.from_user.id))
        elif self._may_answer_in(message.chat.id):
            answer = Answer(f"Please ask me privately: https://t.me/{own_name}?start=privacy")
        else:
            return
        topic = {"message_thread_id": message.message_thread_id} if message.is_topic_message else {}
        if answer.content is None:
            await bot.send_message(message.chat.id, answer.text, **topic)
        else:
            document = self._file(answer.content, answer.file_name or "")
            await bot.send_document(message.chat.id, document, caption=answer.text, **topic)

    async def _name(self, bot: Any) -> str:
        if bot.id not in self._names:
            self._names[bot.id] = (await bot.get_me()).username
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
            return Answer(f"{COMMANDS[name]}: this cannot be undone. If you are sure: /{name}{SURE}")
        do: Callable[[str], Awaitable[str]] = getattr(self._members, name.removesuffix(SURE))
        return Answer(await do(account_id))
