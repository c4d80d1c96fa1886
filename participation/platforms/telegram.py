"""Telegram: kinds of chats and members, content of messages, albums, kinds of accounts.

Ids are those of the Bot API: https://core.telegram.org/bots/api.
"""

from typing import Final
from uuid import UUID, uuid5

from participation.event import ActorKind

PLATFORM: Final = "telegram"

GROUPS: Final = ("group", "supergroup")
"""Types of chats that are communities."""

MEMBERS: Final = ("creator", "administrator", "member")
"""Statuses of a member. Compared one by one: an enumeration of aiogram does not have the hash of its string."""

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
"""Fields with what a person sent. A message with none of these is a service message."""

_ALBUMS: Final = UUID("0f2f3d0c-7f0c-5b7e-8e39-2d5a5f1f9c44")
"""Namespace of the event ids of albums."""


def album_event_id(chat_id: int, media_group_id: str) -> UUID:
    """Return the event id of an album, the same for each of its messages.

    So it counts once if the bot restarts in its middle. The time is part of an event's key as well: an album counts
    twice if Telegram gave its messages different seconds.
    """
    return uuid5(_ALBUMS, f"{chat_id}/{media_group_id}")


def account_kind(*, is_bot: bool) -> ActorKind:
    """Return what an account is. A member who speaks as a chat is `ActorKind.ANONYMOUS` instead."""
    return ActorKind.BOT if is_bot else ActorKind.USER
