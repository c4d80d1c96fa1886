"""What each platform means by its ids, emoji, kinds of accounts and times, without the platform's library.

The adapters of `bots` and the importers share these rules, so that both make the same event of the same message.
"""


def default_community_id(platform: str, space_id: int) -> str:
    """Return the community_id of a guild or chat for which no other one was chosen."""
    return f"{platform}:{space_id}"
