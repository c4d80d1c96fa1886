"""From an update of the Bot API, as aiogram or python-telegram-bot has read it, to events. Nothing here does I/O.

Every time is the one in the update, so an update that is delivered again makes the same events.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from participation.bots.bot_api.types import (
    Chat,
    ChatMember,
    ChatMemberUpdated,
    Message,
    MessageReaction,
    Reaction,
    Update,
    User,
)
from participation.event import ActorKind, Event, EventType
from participation.platforms import telegram

ALLOWED_UPDATES: Final = ("message", "message_reaction", "chat_member", "my_chat_member")
"""What a bot must ask Telegram for. `message_reaction` and `chat_member` are not sent unless asked for by name."""

ALBUMS: Final = 4_096
"""Albums that are remembered. The messages of an album arrive within seconds of each other."""

Communities = Callable[[int], str]
"""Returns the community_id of a chat."""


class Albums:
    """Remembers which message stands for an album: the one of its messages that came first."""

    def __init__(self) -> None:
        self._first: OrderedDict[tuple[int, str | None], int] = OrderedDict()

    def stands_for(self, message: Message) -> bool:
        """Whether the message stands for its album, also when it is delivered again."""
        key = (message.chat.id, message.media_group_id)
        first = self._first.setdefault(key, message.message_id)
        if len(self._first) > ALBUMS:
            self._first.popitem(last=False)
        return first == message.message_id


@dataclass(frozen=True, slots=True)
class BotPresence:
    """A bot was added to a group or removed from it, or its privileges there changed."""

    chat_id: int
    bot_id: int
    is_present: bool
    is_administrator: bool
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Migration:
    """A group became a supergroup, which has another chat id."""

    old_id: int
    new_id: int
    migrated_at: datetime


def events(update: Update, community: Communities, albums: Albums) -> Iterator[Event]:
    """Yield the events of an update: none, one, or one for each reaction that changed."""
    if update.message is not None:
        yield from _messages(update.message, community, albums)
    elif update.message_reaction is not None:
        yield from _reactions(update.message_reaction, community)
    elif update.chat_member is not None:
        yield from _members(update.chat_member, community)


def presence(update: Update) -> BotPresence | None:
    """Read whether the bot itself is in a group now, if the update tells it."""
    changed = update.my_chat_member
    if changed is None or not _is_group(changed.chat):
        return None
    member = changed.new_chat_member
    is_administrator = member.status in telegram.ADMINISTRATORS
    return BotPresence(changed.chat.id, member.user.id, is_member(member), is_administrator, changed.date)


def migration(update: Update) -> Migration | None:
    """Read the old and the new id of a chat. A service message in each of the two chats has both."""
    message = update.message
    if message is None:
        return None
    if message.migrate_to_chat_id:
        return Migration(message.chat.id, message.migrate_to_chat_id, message.date)
    if message.migrate_from_chat_id:
        return Migration(message.migrate_from_chat_id, message.chat.id, message.date)
    return None


def group_id(update: Update) -> int | None:
    """Return the id of the group that the update comes from, None if it does not come from a group."""
    for part in (update.message, update.message_reaction, update.chat_member):
        if part is not None:
            return part.chat.id if _is_group(part.chat) else None
    return None


def is_member(member: ChatMember) -> bool:
    """Whether this status means being in the chat. A restricted account may be in it or not."""
    return member.status in telegram.MEMBERS or (member.status == "restricted" and getattr(member, "is_member", False))


def _is_group(chat: Chat) -> bool:
    return chat.type in telegram.GROUPS


def _messages(message: Message, community: Communities, albums: Albums) -> Iterator[Event]:
    sender = _account(message.from_user, message.sender_chat)
    if sender is None or not _was_sent(message):
        return
    album = message.media_group_id
    if album is not None and not albums.stands_for(message):
        return
    yield Event(
        event_type=EventType.MESSAGE_SENT,
        **_place(message.chat, community),
        **sender,
        object_id=str(message.message_id),
        occurred_at=message.date,
        metadata={**_topic(message), **_duration(message)},
        event_id=None if album is None else telegram.album_event_id(message.chat.id, album),
    )


def _was_sent(message: Message) -> bool:
    """Whether a member sent this to a group: not a service message, nor a channel's post in its linked group."""
    # Id 0: a message for one person only, or one that is not sent yet.
    if not _is_group(message.chat) or message.is_automatic_forward or not message.message_id:
        return False
    return any(_field(message, name) for name in telegram.CONTENT)


def _field(message: Message, name: str) -> Any:
    """Read a field. Fields that python-telegram-bot does not know yet are in its `api_kwargs`."""
    value = getattr(message, name, None)
    return value if value is not None else getattr(message, "api_kwargs", {}).get(name)


def _topic(message: Message) -> dict[str, str]:
    # Replies outside of forums have a thread id as well.
    return {"topic_id": str(message.message_thread_id)} if message.is_topic_message else {}


def _duration(message: Message) -> dict[str, int]:
    recorded = message.voice or message.video_note
    if not recorded:
        return {}
    # python-telegram-bot warns on reading the attribute, because it will become a timedelta.
    seconds = recorded.to_dict()["duration"] if hasattr(recorded, "to_dict") else recorded.duration
    return {"duration_seconds": int(seconds)}


def _reactions(changed: MessageReaction, community: Communities) -> Iterator[Event]:
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


def _emoji(reaction: Reaction) -> str:
    """Return the emoji, the id of a custom one, or `paid` for a star."""
    for name in ("emoji", "custom_emoji_id"):
        if value := getattr(reaction, name, None):
            return str(value)
    return str(reaction.type)


def _members(changed: ChatMemberUpdated, community: Communities) -> Iterator[Event]:
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


def _place(chat: Chat, community: Communities) -> dict[str, Any]:
    return {"platform": telegram.PLATFORM, "community_id": community(chat.id), "channel_id": str(chat.id)}


def _account(user: User | None, chat: Chat | None) -> dict[str, Any] | None:
    """Return who did it. A member who speaks as a chat also has an account, which all such members share."""
    if chat is not None:
        return {"member_id": str(chat.id), "actor_kind": ActorKind.ANONYMOUS}
    if user is None:
        return None
    return {"member_id": str(user.id), "actor_kind": telegram.account_kind(is_bot=user.is_bot)}
