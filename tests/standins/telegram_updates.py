"""Updates as Telegram's documentation describes them (https://core.telegram.org/bots/api), for any library."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

ADA: Json = {"id": 7_000_000_001, "is_bot": False, "first_name": "Ada", "username": "ada_tg"}
BEN: Json = {"id": 42, "is_bot": False, "first_name": "Ben"}
CLEO: Json = {"id": 43, "is_bot": False, "first_name": "Cleo"}
ROBOT: Json = {"id": 900, "is_bot": True, "first_name": "Other bot", "username": "other_bot"}
OURSELVES: Json = {"id": 123_456, "is_bot": True, "first_name": "Harbour", "username": "harbour_bot"}
TELEGRAM: Json = {"id": 777_000, "is_bot": False, "first_name": "Telegram"}
ANONYMOUS_ADMIN: Json = {"id": 1_087_968_824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
CHANNEL_BOT: Json = {"id": 136_817_688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}

HARBOUR: Json = {"id": -1_001_000_000_001, "type": "supergroup", "title": "Harbour", "is_forum": True}
BOATS: Json = {"id": -4001, "type": "group", "title": "Boats"}
BOATS_AFTER: Json = {"id": -1_001_000_004_001, "type": "supergroup", "title": "Boats"}
NEWS: Json = {"id": -1_001_000_000_009, "type": "channel", "title": "News"}
NEWS_DIRECT: Json = {"id": -1_001_000_000_010, "type": "supergroup", "title": "News", "is_direct_messages": True}
"""The direct messages of the channel `NEWS`: what its readers write to it in private."""

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def private(user: Json) -> Json:
    """Return the private chat with a user."""
    return {"id": user["id"], "type": "private", "first_name": user["first_name"]}


def thumb(emoji: str = "👍") -> Json:
    return {"type": "emoji", "emoji": emoji}


def custom(custom_emoji_id: str) -> Json:
    return {"type": "custom_emoji", "custom_emoji_id": custom_emoji_id}


def file(**more: object) -> Json:
    return {"file_id": "f", "file_unique_id": "u", **more}


def photo() -> list[Json]:
    return [file(width=90, height=90)]


def message(chat: Json, sender: Json | None, message_id: int, at: datetime = NOON, **content: Any) -> Json:
    """Return a message. Without content, it is a text."""
    fields = {"message_id": message_id, "date": int(at.timestamp()), "chat": chat, **(content or {"text": "ahoy"})}
    return {"message": fields if sender is None else {**fields, "from": sender}}


def topic(chat: Json, topic_id: int, name: str, at: datetime = NOON) -> Json:
    """Return the service message that a topic was created. Its id is the topic's id."""
    created = {"name": name, "icon_color": 7_322_096}
    return message(
        chat, ADA, topic_id, at, forum_topic_created=created, message_thread_id=topic_id, is_topic_message=True
    )


def in_topic(created: Json, sender: Json, message_id: int, at: datetime = NOON, **content: Any) -> Json:
    """Return a message in a topic. Telegram makes it refer to the topic's first message, unless it answers another."""
    first = created["message"]
    place = {"message_thread_id": first["message_id"], "is_topic_message": True, "reply_to_message": first}
    return message(first["chat"], sender, message_id, at, **{**place, **(content or {"text": "ahoy"})})


def edited(update: Json, at: datetime, text: str) -> Json:
    return {"edited_message": {**update["message"], "edit_date": int(at.timestamp()), "text": text}}


def reaction(
    chat: Json, who: Json, message_id: int, old: Iterable[Json], new: Iterable[Json], *, at: datetime = NOON
) -> Json:
    """Return a change of reactions. who: the account, or the chat as which a member reacts."""
    actor = "user" if "is_bot" in who else "actor_chat"
    change = {"chat": chat, "message_id": message_id, "date": int(at.timestamp()), actor: who}
    return {"message_reaction": {**change, "old_reaction": [*old], "new_reaction": [*new]}}


def status(user: Json, name: str) -> Json:
    """Return a membership. name: a status. For `restricted`, add `+` if the account is in the chat, and `-` if not."""
    rights = dict.fromkeys(
        (
            *("can_send_messages", "can_send_audios", "can_send_documents", "can_send_photos", "can_send_videos"),
            *("can_send_video_notes", "can_send_voice_notes", "can_send_polls", "can_send_other_messages"),
            *("can_add_web_page_previews", "can_change_info", "can_invite_users", "can_pin_messages"),
            *("can_manage_topics", "can_react_to_messages", "can_edit_tag"),
        ),
        False,
    )
    administration = dict.fromkeys(
        (
            *("can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats"),
            *("can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users"),
            *("can_post_stories", "can_edit_stories", "can_delete_stories", "can_send_welcome_messages"),
        ),
        False,
    )
    more: Mapping[str, Json] = {
        "creator": {"is_anonymous": False},
        "administrator": administration,
        "member": {},
        "restricted+": {**rights, "is_member": True, "until_date": 0},
        "restricted-": {**rights, "is_member": False, "until_date": 0},
        "left": {},
        "kicked": {"until_date": 0},
    }
    return {"user": user, "status": name.rstrip("+-"), **more[name]}


def membership(
    chat: Json, user: Json, old: str, new: str, at: datetime = NOON, *, by: Json | None = None, **more: Any
) -> Json:
    """Return a change of membership. For `OURSELVES`, it is a change of the bot's own membership. by: who did it."""
    change = {
        "chat": chat,
        "from": by or user,
        "date": int(at.timestamp()),
        "old_chat_member": status(user, old),
        "new_chat_member": status(user, new),
        **more,
    }
    return {"my_chat_member" if user is OURSELVES else "chat_member": change}


def migrated(old: Json, new: Json, at: datetime = NOON) -> tuple[Json, Json]:
    """Return the two service messages of a group that becomes a supergroup: one in the old chat, one in the new."""
    return (
        message(old, ADA, 90, at, migrate_to_chat_id=new["id"]),
        message(new, ANONYMOUS_ADMIN, 1, at, migrate_from_chat_id=old["id"], sender_chat=new),
    )
