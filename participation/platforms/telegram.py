"""Telegram: kinds of chats and members, content of messages, albums, kinds of accounts.

Ids are the ids of the Bot API: https://core.telegram.org/bots/api.
"""

from typing import Final
from uuid import UUID, uuid5

from participation.event import ActorKind

PLATFORM: Final = "telegram"

GROUPS: Final = ("group", "supergroup")
"""The types of chats that are communities, unless `is_direct_messages` is set."""

MEMBERS: Final = ("creator", "administrator", "member")
"""The statuses of a member. This is a tuple and not a set, because aiogram's enumerations hash unlike their strings."""

ADMINISTRATORS: Final = ("creator", "administrator")

CONTENT: Final = (
    "animation",
    "audio",
    "checklist",
    "contact",
    "dice",
    "document",
    "game",
    "invoice",
    "live_photo",
    "location",
    "paid_media",
    "photo",
    "poll",
    "rich_message",
    "sticker",
    "story",
    "text",
    "venue",
    "video",
    "video_note",
    "voice",
)
"""The fields with the content of a message. A message with none of these is a service message."""

_ALBUMS: Final = UUID("0f2f3d0c-7f0c-5b7e-8e39-2d5a5f1f9c44")
"""The namespace of the event ids of albums."""


def album_event_id(chat_id: int, media_group_id: str) -> UUID:
    """Return the event id of an album. It is the same for each of its messages.

    So an album counts once even if the bot restarts in the middle of it. The key of an event also contains its time, so
    an album counts twice if the bot restarts and Telegram gave the messages different seconds.
    """
    return uuid5(_ALBUMS, f"{chat_id}/{media_group_id}")


def account_kind(*, is_bot: bool) -> ActorKind:
    """Return the kind of an account. A member who speaks as a chat has the kind `ActorKind.ANONYMOUS` instead."""
    return ActorKind.BOT if is_bot else ActorKind.USER
