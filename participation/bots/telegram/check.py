"""The self-check: what a bot may not see, in plain words, asked of Telegram through either library's bot."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from participation.bots.telegram.mapping import ALLOWED_UPDATES

CHATS: Final = 50
"""Chats in which the bot's rights are looked up: Telegram limits how often it may be asked."""

UNSEEN: Final = {
    "message": "messages",
    "message_reaction": "reactions",
    "chat_member": "members who join and leave",
    "my_chat_member": "that the bot is added or removed",
}

NOT_BY_DEFAULT: Final = ("chat_member", "message_reaction")
"""What Telegram leaves out unless it is asked for by name."""


def updates(webhook: Any) -> list[str]:
    """Say which kinds of updates are not asked for, by what getWebhookInfo tells, of polling as well."""
    # Telegram names no kinds at all when they are the default ones.
    asked = list(webhook.allowed_updates or [kind for kind in ALLOWED_UPDATES if kind not in NOT_BY_DEFAULT])
    missing = [kind for kind in ALLOWED_UPDATES if kind not in asked]
    if not missing:
        return []
    unseen = ", ".join(UNSEEN[kind] for kind in missing)
    return [
        f"updates of the kind {', '.join(missing)} are not asked for, so these will not be seen: {unseen}; "
        "give allowed_updates to whatever starts the polling or sets the webhook"
    ]


def rights(me: Any) -> list[str]:
    """Say what BotFather has not allowed the bot, by what getMe tells."""
    found = []
    if not me.can_join_groups:
        found.append(
            "the bot cannot be added to groups, so nothing will be seen in new ones; BotFather: /setjoingroups"
        )
    if not me.can_read_all_group_messages:
        found.append(
            "privacy mode is on, so where the bot is not administrator only commands and replies to it will be seen; "
            "make it administrator, or BotFather: /setprivacy, and then remove it from its groups and add it again"
        )
    return found


async def chats(bot: Any, chat_ids: Iterable[int]) -> AsyncIterator[str]:
    """Say in which of these groups the bot is not administrator, or not at all."""
    for chat_id in sorted(chat_ids)[:CHATS]:
        try:
            member = await bot.get_chat_member(chat_id, bot.id)
        except Exception as error:
            yield f"chat {chat_id}: nothing will be seen there, as it seems: Telegram says {type(error).__name__}"
            continue
        if member.status not in ("creator", "administrator"):
            yield (
                f"chat {chat_id}: the bot is not administrator there, so reactions, joins and leaves will not be seen; "
                "make it administrator"
            )
