"""The parts of the Bot API's objects that the adapters read. The classes of both libraries match these protocols.

https://core.telegram.org/bots/api describes the fields.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol


class User(Protocol):
    """An account."""

    @property
    def id(self) -> int: ...
    @property
    def is_bot(self) -> bool: ...


class Chat(Protocol):
    """A group, a supergroup, a channel or a private chat."""

    @property
    def id(self) -> int: ...
    @property
    def type(self) -> str: ...


class Recording(Protocol):
    """A voice message or a video note."""

    @property
    def duration(self) -> Any:
        """The seconds. python-telegram-bot may return a timedelta."""


class Message(Protocol):
    """A message. Its content is read by field name, see `platforms.telegram.CONTENT`."""

    @property
    def message_id(self) -> int: ...
    @property
    def date(self) -> datetime: ...
    @property
    def chat(self) -> Chat: ...
    @property
    def from_user(self) -> User | None: ...
    @property
    def sender_chat(self) -> Chat | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def media_group_id(self) -> str | None: ...
    @property
    def message_thread_id(self) -> int | None: ...
    @property
    def is_topic_message(self) -> bool | None: ...
    @property
    def is_automatic_forward(self) -> bool | None: ...
    @property
    def migrate_to_chat_id(self) -> int | None: ...
    @property
    def migrate_from_chat_id(self) -> int | None: ...
    @property
    def voice(self) -> Recording | None: ...
    @property
    def video_note(self) -> Recording | None: ...


class Reaction(Protocol):
    """An emoji, a custom emoji or a paid star. Only the first two have a field that names it."""

    @property
    def type(self) -> str: ...


class MessageReaction(Protocol):
    """A member's reactions to a message have changed."""

    @property
    def message_id(self) -> int: ...
    @property
    def date(self) -> datetime: ...
    @property
    def chat(self) -> Chat: ...
    @property
    def user(self) -> User | None: ...
    @property
    def actor_chat(self) -> Chat | None: ...
    @property
    def old_reaction(self) -> Sequence[Reaction]: ...
    @property
    def new_reaction(self) -> Sequence[Reaction]: ...


class ChatMember(Protocol):
    """A member's status in a chat. A restricted member also has `is_member`."""

    @property
    def status(self) -> str: ...
    @property
    def user(self) -> User: ...


class ChatMemberUpdated(Protocol):
    """A member's status in a chat has changed."""

    @property
    def date(self) -> datetime: ...
    @property
    def chat(self) -> Chat: ...
    @property
    def old_chat_member(self) -> ChatMember: ...
    @property
    def new_chat_member(self) -> ChatMember: ...


class Update(Protocol):
    """Something that happened. At most one of these fields is set."""

    @property
    def message(self) -> Message | None: ...
    @property
    def message_reaction(self) -> MessageReaction | None: ...
    @property
    def chat_member(self) -> ChatMemberUpdated | None: ...
    @property
    def my_chat_member(self) -> ChatMemberUpdated | None: ...


class BotUser(Protocol):
    """The bot itself, from getMe."""

    @property
    def username(self) -> str | None: ...
    @property
    def can_join_groups(self) -> bool | None: ...
    @property
    def can_read_all_group_messages(self) -> bool | None: ...


class WebhookInfo(Protocol):
    """The answer of getWebhookInfo. It also describes a bot that polls."""

    @property
    def allowed_updates(self) -> Sequence[str] | None: ...


class Bot(Protocol):
    """A bot of either library, with the methods that the adapters call."""

    @property
    def id(self) -> int: ...

    async def get_me(self) -> BotUser: ...
    async def get_webhook_info(self) -> WebhookInfo: ...
    async def get_chat_member(self, chat_id: int, user_id: int, /) -> ChatMember: ...
    async def send_message(self, chat_id: int, text: str, /, *, message_thread_id: int | None = None) -> object: ...
    async def send_document(
        self, chat_id: int, document: Any, /, *, caption: str | None = None, message_thread_id: int | None = None
    ) -> object: ...
