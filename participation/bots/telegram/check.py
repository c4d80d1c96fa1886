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


async def examine(bot: Any, chat_ids: Iterable[int]) -> list[str]:
    """Return what is missing: what is wrong, what will therefore not be seen, and what to do.

    chat_ids: groups in which the bot is. Raises the library's errors when Telegram does not answer or refuses.
    """
    webhook = await bot.get_webhook_info()
    found = [*_updates(webhook.allowed_updates), *_rights(await bot.get_me())]
    return [*found, *[text async for text in _chats(bot, sorted(chat_ids)[:CHATS])]]


def _updates(allowed: Iterable[str] | None) -> list[str]:
    # Telegram names no kinds at all when they are the default ones.
    asked = list(allowed or [kind for kind in ALLOWED_UPDATES if kind not in NOT_BY_DEFAULT])
    missing = [kind for kind in ALLOWED_UPDATES if kind not in asked]
    if not missing:
        return []
    unseen = ", ".join(UNSEEN[kind] for kind in missing)
    return [
        f"updates of the kind {', '.join(missing)} are not asked for, so these will not be seen: {unseen}; "
        "give allowed_updates to whatever starts the polling or sets the webhook"
    ]


def _rights(me: Any) -> list[str]:
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


async def _chats(bot: Any, chat_ids: Iterable[int]) -> AsyncIterator[str]:
    for chat_id in chat_ids:
        member = await bot.get_chat_member(chat_id, bot.id)
        if member.status not in ("creator", "administrator"):
            yield (
                f"in chat {chat_id} the bot is not administrator, so reactions, joins and leaves there will not be "
                "seen; make it administrator"
            )
