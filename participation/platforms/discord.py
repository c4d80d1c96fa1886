"""Discord: snowflakes and their times, countable messages, emoji, kinds of accounts."""

from datetime import UTC, datetime, timedelta
from typing import Final

from participation.event import ActorKind

PLATFORM: Final = "discord"

EPOCH: Final = datetime(2015, 1, 1, tzinfo=UTC)
"""The time from which snowflakes count milliseconds."""

RANDOM_BITS: Final = 22
"""The lowest bits of a snowflake, below its time."""

COUNTED_TYPES: Final = frozenset({0, 19})
"""Types of messages that people write: DEFAULT and REPLY. An allow-list, because Discord adds system types."""

_MILLISECOND: Final = timedelta(milliseconds=1)


def snowflake(at: datetime, random_bits: int = 0) -> int:
    """Return an id that Discord could give to an object made at this time."""
    return (at - EPOCH) // _MILLISECOND << RANDOM_BITS | random_bits


def emoji(emoji_id: int | None, name: str) -> str:
    """Return a Unicode emoji as it is, and a custom one as its id, because its name can change."""
    return name if emoji_id is None else str(emoji_id)


def author_kind(webhook_id: int | None, application_id: int | None, *, is_bot: bool) -> ActorKind:
    """Return what the author of a message is. An application's answer to a command has its own id as webhook id."""
    if webhook_id is not None and webhook_id != application_id:
        return ActorKind.WEBHOOK
    return account_kind(is_bot=is_bot)


def account_kind(*, is_bot: bool) -> ActorKind:
    """Return what an account is."""
    return ActorKind.BOT if is_bot else ActorKind.USER
