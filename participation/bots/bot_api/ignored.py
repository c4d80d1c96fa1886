"""Knows which updates come from ignored chats and topics. Nothing of them leaves the bot. Does no I/O.

Telegram does not tell in which topic a reaction is. So in chats with ignored topics, this remembers the topics of the
latest messages. A reaction to a message that is not remembered is ignored, because it may be in an ignored topic.
"""

from collections.abc import Callable
from typing import Final

from participation.bots.bot_api.types import Message, Update
from participation.platforms import telegram

MESSAGES: Final = 10_000
"""How many messages are remembered."""

FormerId = Callable[[int], int | None]
"""Returns the id that a group had before it became a supergroup."""


class IgnoredChannels:
    """ids: chats, and topics as `<chat id>/<topic id>`."""

    def __init__(self, ids: frozenset[str], former_id: FormerId) -> None:
        self._ids = ids
        self._former_id = former_id
        self._chats_with_topics = {each.partition("/")[0] for each in ids if "/" in each}
        self._is_ignored: dict[tuple[str, int], bool] = {}

    def has(self, update: Update) -> bool:
        """Return whether the update comes from an ignored chat or topic, and remember its message."""
        part = update.message or update.message_reaction or update.chat_member or update.my_chat_member
        if not self._ids or part is None:
            return False
        chat_id = str(part.chat.id)
        if chat_id in self._ids or str(self._former_id(part.chat.id)) in self._ids:
            return True
        if chat_id not in self._chats_with_topics:
            return False
        if update.message is not None:
            return self._has_message(chat_id, update.message)
        reaction = update.message_reaction
        return reaction is not None and self._is_ignored.get((chat_id, reaction.message_id), True)

    def _has_message(self, chat_id: str, message: Message) -> bool:
        topic_id = message.message_thread_id if message.is_topic_message else telegram.GENERAL
        is_ignored = f"{chat_id}/{topic_id}" in self._ids
        self._is_ignored[chat_id, message.message_id] = is_ignored
        if len(self._is_ignored) > MESSAGES:
            del self._is_ignored[next(iter(self._is_ignored))]
        return is_ignored
