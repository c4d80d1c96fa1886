"""The self-check: what a Telegram bot cannot see, and what to do about it. Works with the bot of either library."""

from collections.abc import AsyncIterator, Iterable
from typing import Final

from participation.bots.bot_api.mapping import ALLOWED_UPDATES
from participation.bots.bot_api.types import Bot, BotUser, WebhookInfo
from participation.platforms import telegram

CHATS: Final = 50
"""In how many chats the bot's status is checked at most. Telegram limits how often a bot may ask."""

UNSEEN: Final = {
    "message": "messages",
    "message_reaction": "reactions",
    "chat_member": "joins and leaves",
    "my_chat_member": "when the bot is added or removed",
}
"""What the bot does not see without each type of updates."""

NOT_BY_DEFAULT: Final = ("chat_member", "message_reaction")
"""The types of updates that Telegram sends only to bots that name them."""


def updates(webhook: WebhookInfo) -> list[str]:
    """Return a line if the bot does not ask for all types of updates, by polling or with a webhook."""
    # If the bot uses the default types, Telegram returns no list.
    asked = list(webhook.allowed_updates or [kind for kind in ALLOWED_UPDATES if kind not in NOT_BY_DEFAULT])
    missing = [kind for kind in ALLOWED_UPDATES if kind not in asked]
    if not missing:
        return []
    unseen = ", ".join(UNSEEN[kind] for kind in missing)
    return [
        f"the bot does not ask for updates of the type {', '.join(missing)}, so it does not see {unseen}; "
        "pass allowed_updates where the bot starts polling or sets the webhook"
    ]


def settings(me: BotUser) -> list[str]:
    """Return a line for each setting in BotFather because of which the bot does not see something."""
    found = []
    if not me.can_join_groups:
        found.append(
            "the bot cannot be added to groups, so it sees nothing in new groups; allow it (BotFather: /setjoingroups)"
        )
    if not me.can_read_all_group_messages:
        found.append(
            "privacy mode is on, so in groups where the bot is not an administrator it sees only commands and replies "
            "to it; make it an administrator, or turn the mode off (BotFather: /setprivacy), remove the bot from its "
            "groups and add it again"
        )
    return found


async def chats(bot: Bot, chat_ids: Iterable[int]) -> AsyncIterator[str]:
    """Yield a line for each of these groups in which the bot is not an administrator, or not a member."""
    for chat_id in sorted(chat_ids)[:CHATS]:
        try:
            member = await bot.get_chat_member(chat_id, bot.id)
        except Exception as error:
            yield f"chat {chat_id}: Telegram answers {type(error).__name__}, so the bot probably sees nothing there"
            continue
        if member.status not in telegram.ADMINISTRATORS:
            yield (
                f"chat {chat_id}: the bot is not an administrator there, so it does not see reactions, joins and "
                "leaves; make it an administrator"
            )
