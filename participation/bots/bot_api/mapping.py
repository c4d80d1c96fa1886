"""Turns updates of the Bot API into events, as aiogram or python-telegram-bot has read them. Does no I/O.

Every time is the time in the update. So an update that is delivered again gives the same events.
"""

from collections import Counter
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
"""The types of updates that a bot must ask for. Telegram sends the second and the third only to bots that name them."""

Communities = Callable[[int], str]
"""Returns the community_id for a chat's id."""

IsFirst = Callable[[Message], bool]
"""Returns whether a message is the first one of its album."""

FirstOf = Callable[[Message], int]
"""Returns the id of the first message of a message's album, or the message's own id."""


@dataclass(frozen=True, slots=True)
class BotPresence:
    """A bot was added to a group or removed from it, or its rights there changed."""

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


def own_id(message: Message) -> int:
    """Return the message's own id: the `FirstOf` of a program that knows no albums."""
    return message.message_id


def events(update: Update, community: Communities, is_first: IsFirst, first_of: FirstOf = own_id) -> Iterator[Event]:
    """Yield the events of an update: none, one, or one for each changed reaction."""
    if update.message is not None:
        yield from _messages(update.message, community, is_first, first_of)
    elif update.message_reaction is not None:
        yield from _reactions(update.message_reaction, community)
    elif update.chat_member is not None:
        yield from _members(update.chat_member, community)


def presence(update: Update) -> BotPresence | None:
    """Return whether the bot itself is in a group now, or None if the update is about something else."""
    changed = update.my_chat_member
    if changed is None or not is_group(changed.chat):
        return None
    member = changed.new_chat_member
    is_administrator = member.status in telegram.ADMINISTRATORS
    return BotPresence(changed.chat.id, member.user.id, is_member(member), is_administrator, changed.date)


def migration(update: Update) -> Migration | None:
    """Return the old and the new id of a group that became a supergroup, or None.

    Telegram sends a service message with both ids in each of the two chats.
    """
    message = update.message
    if message is None:
        return None
    if message.migrate_to_chat_id:
        return Migration(message.chat.id, message.migrate_to_chat_id, message.date)
    if message.migrate_from_chat_id:
        return Migration(message.migrate_from_chat_id, message.chat.id, message.date)
    return None


def group_id(update: Update) -> int | None:
    """Return the id of the group from which the update comes, or None if it comes from elsewhere."""
    for part in (update.message, update.message_reaction, update.chat_member):
        if part is not None:
            return part.chat.id if is_group(part.chat) else None
    return None


def happened_at(update: Update) -> datetime | None:
    """Return the time of an update that `group_id` knows."""
    for part in (update.message, update.message_reaction, update.chat_member):
        if part is not None:
            return part.date
    return None


def is_member(member: ChatMember) -> bool:
    """Return whether an account with this status is in the chat. A restricted account may be in it or not."""
    return member.status in telegram.MEMBERS or (member.status == "restricted" and getattr(member, "is_member", False))


def is_group(chat: Chat) -> bool:
    """Return whether the chat is a community. What members write to a channel in private is a supergroup too."""
    return chat.type in telegram.GROUPS and not _field(chat, "is_direct_messages")


def _messages(message: Message, community: Communities, is_first: IsFirst, first_of: FirstOf) -> Iterator[Event]:
    sender = _account(message.from_user, message.sender_chat)
    if sender is None or not _was_sent(message):
        return
    if message.media_group_id is not None and not is_first(message):
        return
    yield Event(
        event_type=EventType.MESSAGE_SENT,
        **_place(message.chat, community),
        **sender,
        object_id=str(message.message_id),
        occurred_at=message.date,
        metadata={**_reply(message, first_of), **_topic(message), **_duration(message)},
    )


def _was_sent(message: Message) -> bool:
    """Return whether a member sent this to a group. Service messages and a linked channel's posts do not count."""
    # A message for one person only, or one that is not sent yet, has the id 0.
    if not is_group(message.chat) or message.is_automatic_forward or not message.message_id:
        return False
    return any(_field(message, name) for name in telegram.CONTENT)


def _field(given: Message | Chat, name: str) -> object:
    """Return the value of a field, or None. Fields that python-telegram-bot does not know are in its `api_kwargs`."""
    value = getattr(given, name, None)
    return value if value is not None else getattr(given, "api_kwargs", {}).get(name)


def _topic(message: Message) -> dict[str, str]:
    # Replies outside of forums have a thread id too.
    return {"topic_id": str(message.message_thread_id)} if message.is_topic_message else {}


def _reply(message: Message, first_of: FirstOf) -> dict[str, str]:
    to = message.reply_to_message
    # In a topic, every message that answers none has the topic's first message here.
    if (
        to is None
        or to.forum_topic_created
        or (message.is_topic_message and to.message_id == message.message_thread_id)
    ):
        return {}
    return {"reply_to": str(first_of(to))}


def _duration(message: Message) -> dict[str, int]:
    recorded = message.voice or message.video_note
    if not recorded:
        return {}
    # python-telegram-bot warns when the attribute is read, because its type will change to timedelta.
    seconds = recorded.to_dict()["duration"] if hasattr(recorded, "to_dict") else recorded.duration
    return {"duration_seconds": int(seconds)}


def _reactions(changed: MessageReaction, community: Communities) -> Iterator[Event]:
    actor = _account(changed.user, changed.actor_chat)
    if actor is None or not is_group(changed.chat):
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
    """Return the emoji, the id of a custom emoji, or `paid` for a star."""
    for name in ("emoji", "custom_emoji_id"):
        if value := getattr(reaction, name, None):
            return str(value)
    return str(reaction.type)


def _members(changed: ChatMemberUpdated, community: Communities) -> Iterator[Event]:
    was, now = is_member(changed.old_chat_member), is_member(changed.new_chat_member)
    account = _account(changed.new_chat_member.user, None)
    if was == now or account is None or not is_group(changed.chat):
        return
    yield Event(
        event_type=EventType.MEMBER_JOINED if now else EventType.MEMBER_LEFT,
        **_place(changed.chat, community),
        **account,
        occurred_at=changed.date,
        metadata=_invite(changed) if now else _reason(changed),
    )


def _invite(changed: ChatMemberUpdated) -> dict[str, str]:
    """Return the name of the link, never the link itself, because whoever has it can join."""
    link = changed.invite_link
    if link is not None and link.name:
        return {"invite": link.name}
    is_request = changed.via_join_request or (link is not None and link.creates_join_request)
    return {"invite": "request"} if is_request else {}


def _reason(changed: ChatMemberUpdated) -> dict[str, str]:
    if changed.new_chat_member.status == telegram.BANNED:
        return {"reason": "banned"}
    return {"reason": "left" if changed.from_user.id == changed.new_chat_member.user.id else "kicked"}


def _place(chat: Chat, community: Communities) -> dict[str, Any]:
    return {"platform": telegram.PLATFORM, "community_id": community(chat.id), "channel_id": str(chat.id)}


def _account(user: User | None, chat: Chat | None) -> dict[str, Any] | None:
    """Return the fields of who did it. If a member speaks as a chat, that is the chat.

    Telegram then also sends an account, but all such members share it.
    """
    if chat is not None:
        return {"member_id": str(chat.id), "actor_kind": ActorKind.ANONYMOUS}
    if user is None:
        return None
    return {"member_id": str(user.id), "actor_kind": telegram.account_kind(is_bot=user.is_bot)}
