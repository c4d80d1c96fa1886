"""From an update of the Bot API, as aiogram or python-telegram-bot has read it, to events. Nothing here does I/O.

Both libraries call the fields by the names of https://core.telegram.org/bots/api, so one set of functions serves both.
Every time is the one in the payload: an update that is delivered again makes the same events.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from participation.event import ActorKind, Event, EventType

ALLOWED_UPDATES: Final = ("message", "message_reaction", "chat_member", "my_chat_member")
"""What a bot must ask Telegram for; `message_reaction` and `chat_member` are not among what it sends unasked."""

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
"""What somebody writes or sends. A message with none of these is a service message: Telegram tells of something."""

GROUPS: Final = ("group", "supergroup")
MEMBERS: Final = ("creator", "administrator", "member")
"""Statuses of a member. Compared one by one: an enumeration of aiogram has not the hash of its string."""

ALBUM: Final = UUID("0f2f3d0c-7f0c-5b7e-8e39-2d5a5f1f9c44")
"""Namespace of the ids of albums."""

ALBUMS: Final = 4_096
"""Albums that are remembered. Their messages come within seconds of each other."""

Communities = Callable[[int], str]
"""The community_id of a chat."""


class Albums:
    """Remembers which message stands for an album: the one of its messages that came first."""

    def __init__(self) -> None:
        self._first: OrderedDict[tuple[int, str], int] = OrderedDict()

    def stands_for(self, message: Any) -> bool:
        """Whether the message stands for its album. It still does when it is delivered again."""
        key = (message.chat.id, message.media_group_id)
        first = self._first.setdefault(key, message.message_id)
        if len(self._first) > ALBUMS:
            self._first.popitem(last=False)
        return bool(first == message.message_id)


@dataclass(frozen=True, slots=True)
class Presence:
    """A bot was added to a group or removed from it, or its rights there have changed."""

    chat_id: int
    bot_id: int
    is_present: bool
    is_administrator: bool
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Migration:
    """A group has become a supergroup, and with that another chat id."""

    old_id: int
    new_id: int
    migrated_at: datetime


def events(update: Any, community: Communities, albums: Albums) -> Iterator[Event]:
    """Yield the events that the update tells of: none, one, or one for each reaction that has changed."""
    if update.message is not None:
        yield from _messages(update.message, community, albums)
    elif update.message_reaction is not None:
        yield from _reactions(update.message_reaction, community)
    elif update.chat_member is not None:
        yield from _members(update.chat_member, community)


def presence(update: Any) -> Presence | None:
    """Read where the bot itself is now, if the update tells it of a group."""
    changed = update.my_chat_member
    if changed is None or not _is_group(changed.chat):
        return None
    member = changed.new_chat_member
    is_administrator = member.status in ("creator", "administrator")
    return Presence(changed.chat.id, member.user.id, is_member(member), is_administrator, changed.date)


def migration(update: Any) -> Migration | None:
    """Read the old and the new id of a chat from the service message that stands in each of the two."""
    message = update.message
    if message is None:
        return None
    if message.migrate_to_chat_id:
        return Migration(message.chat.id, message.migrate_to_chat_id, message.date)
    if message.migrate_from_chat_id:
        return Migration(message.migrate_from_chat_id, message.chat.id, message.date)
    return None


def group_id(update: Any) -> int | None:
    """Return the id of the group that the update comes from, None if it comes from elsewhere."""
    for part in (update.message, update.message_reaction, update.chat_member):
        if part is not None:
            return part.chat.id if _is_group(part.chat) else None
    return None


def is_member(member: Any) -> bool:
    """Whether this status means to be in the chat. A restricted account may be in it or not."""
    return member.status in MEMBERS or (member.status == "restricted" and member.is_member)


def _is_group(chat: Any) -> bool:
    return chat.type in GROUPS


def _messages(message: Any, community: Communities, albums: Albums) -> Iterator[Event]:
    sender = _account(message.from_user, message.sender_chat)
    if sender is None or not _was_sent(message):
        return
    is_album = message.media_group_id is not None
    if is_album and not albums.stands_for(message):
        return
    yield Event(
        event_type=EventType.MESSAGE_SENT,
        **_place(message.chat, community),
        **sender,
        object_id=str(message.message_id),
        occurred_at=message.date,
        metadata={**_topic(message), **_duration(message)},
        event_id=_album_id(message) if is_album else None,
    )


def _was_sent(message: Any) -> bool:
    """Whether somebody sent this to a group, and not Telegram, nor a channel to all its linked group."""
    # Id 0: a message to one person only, or one that is not sent yet.
    if not _is_group(message.chat) or message.is_automatic_forward or not message.message_id:
        return False
    return any(_field(message, name) for name in CONTENT)


def _field(message: Any, name: str) -> Any:
    """Read a field. Those that python-telegram-bot does not know yet are in its `api_kwargs`."""
    value = getattr(message, name, None)
    return value if value is not None else getattr(message, "api_kwargs", {}).get(name)


def _album_id(message: Any) -> UUID:
    """Identify an album whichever of its messages comes first, so that a restart in its middle counts it once.

    Unless Telegram has given its messages different seconds: the time is part of an event's key.
    """
    return uuid5(ALBUM, f"{message.chat.id}/{message.media_group_id}")


def _topic(message: Any) -> dict[str, str]:
    # Replies outside of forums have a thread as well.
    return {"topic_id": str(message.message_thread_id)} if message.is_topic_message else {}


def _duration(message: Any) -> dict[str, int]:
    recorded = message.voice or message.video_note
    if not recorded:
        return {}
    # python-telegram-bot warns whoever reads the attribute that it will be a timedelta one day.
    seconds = recorded.to_dict()["duration"] if hasattr(recorded, "to_dict") else recorded.duration
    return {"duration_seconds": int(seconds)}


def _reactions(changed: Any, community: Communities) -> Iterator[Event]:
    actor = _account(changed.user, changed.actor_chat)
    if actor is None or not _is_group(changed.chat):
        return
    old, new = (Counter(map(_emoji, reactions)) for reactions in (changed.old_reaction, changed.new_reaction))
    for event_type, difference in ((EventType.REACTION_REMOVED, old - new), (EventType.REACTION_ADDED, new - old)):
        for emoji in difference:
            yield Event(
                event_type=event_type,
                **_place(changed.chat, community),
                **actor,
                object_id=str(changed.message_id),
                occurred_at=changed.date,
                metadata={"emoji": emoji},
            )


def _emoji(reaction: Any) -> str:
    """Return the emoji, the id of a custom one, or `paid` for a star."""
    for name in ("emoji", "custom_emoji_id"):
        if value := getattr(reaction, name, None):
            return str(value)
    return str(reaction.type)


def _members(changed: Any, community: Communities) -> Iterator[Event]:
    was, now = is_member(changed.old_chat_member), is_member(changed.new_chat_member)
    account = _account(changed.new_chat_member.user, None)
    if was == now or account is None or not _is_group(changed.chat):
        return
    yield Event(
        event_type=EventType.MEMBER_JOINED if now else EventType.MEMBER_LEFT,
        **_place(changed.chat, community),
        **account,
        occurred_at=changed.date,
    )


def _place(chat: Any, community: Communities) -> dict[str, Any]:
    return {"platform": "telegram", "community_id": community(chat.id), "channel_id": str(chat.id)}


def _account(user: Any, chat: Any) -> dict[str, Any] | None:
    """Return who did it. Who speaks as a chat has beside it an account that stands for all who do."""
    if chat is not None:
        return {"member_id": str(chat.id), "actor_kind": ActorKind.ANONYMOUS}
    if user is None:
        return None
    return {"member_id": str(user.id), "actor_kind": ActorKind.BOT if user.is_bot else ActorKind.USER}
