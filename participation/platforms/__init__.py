"""The meaning of each platform's ids, emoji, kinds of accounts and times. It needs no library of the platform.

The adapters in `bots` and the importers share these rules, so both create the same event for the same message.
"""

from collections.abc import Mapping
from typing import Any, Final

SPACE_IDS: Final = {"discord": range(1, 2**64), "telegram": range(-(2**63), 0)}
"""The ids that a guild or group can have, for each platform. On Telegram, positive ids are those of accounts."""


def default_community_id(platform: str, space_id: int | str) -> str:
    """Return the community_id of a guild or chat for which the developer chose none."""
    return f"{platform}:{space_id}"


def channel_ids(platform: str, channel_id: object, metadata: Mapping[str, Any], event_type: object) -> list[str]:
    """Return the channel of an event and those above it, written PLATFORM:CHANNEL. Values that are no ids are left out.

    On Telegram also the topic. A message without one is in the topic 1. `store.days.channels` has the same rule in SQL.
    """
    ids = [channel_id, metadata.get("parent_id"), metadata.get("category_id")]
    if platform == "telegram" and _is_id(channel_id):
        topic = metadata.get("topic_id")
        if topic is None and event_type == "MESSAGE_SENT":
            topic = 1
        ids += [f"{channel_id}/{topic}"] if _is_id(topic) else []
    return [f"{platform}:{each}" for each in ids if _is_id(each)]


def _is_id(value: object) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))
