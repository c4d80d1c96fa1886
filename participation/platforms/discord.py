"""Discord: ids and their times, the types of messages that count, emoji, kinds of accounts."""

from datetime import UTC, datetime, timedelta
from typing import Final

from participation.event import ActorKind

PLATFORM: Final = "discord"

EPOCH: Final = datetime(2015, 1, 1, tzinfo=UTC)
"""Discord's ids, called snowflakes, count milliseconds from this time."""

RANDOM_BITS: Final = 22
"""How many bits of a snowflake are below its time."""

COUNTED_TYPES: Final = frozenset({0, 19})
"""The types of messages that people write: DEFAULT and REPLY. Types that Discord adds later do not count."""

FORWARD: Final = 1
"""The type of a reference to a message that was forwarded. It is not answered."""

_MILLISECOND: Final = timedelta(milliseconds=1)


def snowflake(at: datetime, random_bits: int = 0) -> int:
    """Return an id that Discord could give to an object created at this time. random_bits: its lowest 22 bits."""
    return (at - EPOCH) // _MILLISECOND << RANDOM_BITS | random_bits


def emoji(emoji_id: int | None, name: str) -> str:
    """Return the name of a Unicode emoji. Return the id of a custom emoji, because its name can change."""
    return name if emoji_id is None else str(emoji_id)


def author_kind(webhook_id: int | None, application_id: int | None, *, is_bot: bool) -> ActorKind:
    """Return the kind of the author of a message. In an answer to a command, the webhook id is the application's id."""
    if webhook_id is not None and webhook_id != application_id:
        return ActorKind.WEBHOOK
    return account_kind(is_bot=is_bot)


def account_kind(*, is_bot: bool) -> ActorKind:
    """Return the kind of an account."""
    return ActorKind.BOT if is_bot else ActorKind.USER
