"""Where a channel of discord.py belongs, whether everybody may read it, and whether it is ignored."""

from datetime import datetime
from typing import Any

import discord

from participation.bots.names import Seen


def place(channel: Any) -> dict[str, str]:
    """Return the `parent_id` of a thread or post, and the `category_id` of a channel or of the thread's channel."""
    parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
    category_id = getattr(_holder(channel), "category_id", None)
    found = {"parent_id": parent_id, "category_id": category_id}
    return {name: str(value) for name, value in found.items() if value is not None}


def is_ignored(channel: Any, ignored: frozenset[str]) -> bool:
    """Return whether the channel, its parent or its category is among the ignored ids.

    A channel that the library does not know, in a guild that it knows, may be below an ignored one, so it is ignored.
    """
    if not ignored:
        return False
    is_unknown = isinstance(channel, discord.PartialMessageable) and channel.guild is not None
    return is_unknown or not ignored.isdisjoint({str(channel.id), *place(channel).values()})


def name(community_id: str, channel: discord.abc.GuildChannel | discord.Thread, at: datetime) -> Seen:
    """Return the name of a channel, a category, a thread or a post."""
    found = place(channel)
    return Seen(
        "channel",
        community_id,
        str(channel.id),
        channel.name,
        at,
        parent_id=found.get("parent_id"),
        category_id=found.get("category_id"),
        is_public=_is_public(channel),
    )


def _is_public(channel: discord.abc.GuildChannel | discord.Thread) -> bool | None:
    """Return whether the role that everybody has may view the channel, or None if it is not known.

    A thread has no permissions of its own. Members of a private thread are invited one by one.
    """
    if isinstance(channel, discord.Thread) and channel.is_private():
        return False
    holder = _holder(channel)
    if holder is None or holder.guild.default_role is None:
        return None
    return bool(holder.permissions_for(holder.guild.default_role).view_channel)


def _holder(channel: Any) -> Any:
    """Return the channel that has the permissions and the category."""
    return channel.parent if isinstance(channel, discord.Thread) else channel
