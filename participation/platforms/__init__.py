"""The meaning of each platform's ids, emoji, kinds of accounts and times. It needs no library of the platform.

The adapters in `bots` and the importers share these rules, so both create the same event for the same message.
"""

from typing import Final

SPACE_IDS: Final = {"discord": range(1, 2**64), "telegram": range(-(2**63), 0)}
"""The ids that a guild or group can have, for each platform. On Telegram, positive ids are those of accounts."""


def default_community_id(platform: str, space_id: int | str) -> str:
    """Return the community_id of a guild or chat for which the developer chose none."""
    return f"{platform}:{space_id}"
