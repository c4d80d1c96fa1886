"""The names that updates of the Bot API tell: of accounts, chats and topics. Does no I/O.

Every name has the time of the update. A topic's first name has the time at which the topic was created, because
Telegram repeats it with every message in the topic, also after the topic was renamed.
"""

from collections.abc import Iterator
from datetime import datetime

from participation.bots.bot_api import mapping
from participation.bots.bot_api.mapping import Communities
from participation.bots.bot_api.types import Chat, Message, Update, User
from participation.bots.names import Seen
from participation.platforms import telegram


def seen(update: Update, community: Communities, ignored: frozenset[str]) -> Iterator[Seen]:
    """Yield the names that an update tells. ignored: the ids of the topics whose names are left out."""
    message, reaction, changed = update.message, update.message_reaction, update.chat_member
    ours = update.my_chat_member
    part = message or reaction or changed or ours
    if part is None or not mapping.is_group(part.chat) or (ours and not mapping.is_member(ours.new_chat_member)):
        return
    yield from (each for each in _chat(part.chat, community, part.date) if each.id not in ignored)
    community_id = community(part.chat.id)
    if message is not None:
        yield from (each for each in _topics(message, community_id) if each.id not in ignored)
        if not message.is_automatic_forward:
            yield from _account(message.from_user, message.sender_chat, community_id, message.date)
    elif reaction is not None:
        yield from _account(reaction.user, reaction.actor_chat, community_id, reaction.date)
    elif changed is not None:
        yield from _account(changed.new_chat_member.user, None, community_id, changed.date)


def moved(migration: mapping.Migration, update: Update, community: Communities) -> Iterator[Seen]:
    """Yield the name of a group that became a supergroup, with its old and its new id."""
    if update.message is not None:
        new_id, title = migration.new_id, update.message.chat.title or ""
        former_id = str(migration.old_id)
        yield Seen("space", community(new_id), str(new_id), title, migration.migrated_at, former_id=former_id)


def _chat(chat: Chat, community: Communities, at: datetime) -> Iterator[Seen]:
    """Yield the chat as a space and as a channel. Every member of a group may read it."""
    community_id, chat_id, title = community(chat.id), str(chat.id), chat.title or ""
    yield Seen("space", community_id, chat_id, title, at)
    yield Seen("channel", community_id, chat_id, title, at, is_public=True)
    if chat.is_forum:
        # Telegram tells the name of this topic only when it changes. So any such name is later than this one.
        yield _topic(chat, telegram.GENERAL, "General", community_id, telegram.GENERAL_SINCE)


def _topics(message: Message, community_id: str) -> Iterator[Seen]:
    topic_id = str(message.message_thread_id or telegram.GENERAL)
    for told in (message.forum_topic_created, message.forum_topic_edited):
        if told is not None and told.name:
            yield _topic(message.chat, topic_id, told.name, community_id, message.date)
    first = message.reply_to_message
    if first is not None and message.is_topic_message and first.forum_topic_created and first.forum_topic_created.name:
        yield _topic(message.chat, topic_id, first.forum_topic_created.name, community_id, first.date)


def _topic(chat: Chat, topic_id: str, name: str, community_id: str, at: datetime) -> Seen:
    chat_id = str(chat.id)
    return Seen("channel", community_id, f"{chat_id}/{topic_id}", name, at, parent_id=chat_id, is_public=True)


def _account(user: User | None, chat: Chat | None, community_id: str, at: datetime) -> Iterator[Seen]:
    """Yield the name of the account of the event: a chat if a member speaks as one, otherwise the user."""
    if chat is not None:
        yield Seen("account", community_id, str(chat.id), chat.title or "", at, username=chat.username)
    elif user is not None:
        name = " ".join(part for part in (user.first_name, user.last_name) if part)
        yield Seen("account", community_id, str(user.id), name, at, username=user.username)
