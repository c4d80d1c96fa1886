"""The meaning of each platform's ids, emoji, kinds of accounts and times. It needs no library of the platform.

The adapters in `bots` and the importers share these rules, so both create the same event for the same message.
"""


def default_community_id(platform: str, space_id: int) -> str:
    """Return the community_id of a guild or chat for which the developer chose none."""
    return f"{platform}:{space_id}"
