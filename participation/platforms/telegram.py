"""Telegram: kinds of chats and members, content of messages, kinds of accounts.

Ids are the ids of the Bot API: https://core.telegram.org/bots/api.

Telegram sends an album as several messages. Only the first one, with the lowest id, is an event. Its `event_id` is made
as for any other message. Bots recognise an album by its `media_group_id`. An export has none: there, the messages
with files that one account sent to one chat in the same second are an album. Their ids need not be consecutive,
because others can write in between. So an import never makes a second event of an album.
"""

from datetime import UTC, datetime
from typing import Final

from participation.event import ActorKind

PLATFORM: Final = "telegram"

GROUPS: Final = ("group", "supergroup")
"""The types of chats that are communities, unless `is_direct_messages` is set."""

MEMBERS: Final = ("creator", "administrator", "member")
"""The statuses of a member. This is a tuple and not a set, because aiogram's enumerations hash unlike their strings."""

ADMINISTRATORS: Final = ("creator", "administrator")

BANNED: Final = "kicked"
"""The status of an account that was removed and cannot return."""

GENERAL: Final = "1"
"""The id of the topic `General`, which has what is in no other topic."""

GENERAL_SINCE: Final = datetime(2022, 11, 5, tzinfo=UTC)
"""When Telegram introduced topics. Their names are never older."""

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


def account_kind(*, is_bot: bool) -> ActorKind:
    """Return the kind of an account. A member who speaks as a chat has the kind `ActorKind.ANONYMOUS` instead."""
    return ActorKind.BOT if is_bot else ActorKind.USER
