"""The channel for which an event counts: the only place with this rule, for figures, exclusion and ignoring.

On Discord, a thread or a post in a forum counts for the channel that it is in. On Telegram, a topic is the channel
`<chat id>/<topic id>`, and what is in no topic of a chat that has topics is `<chat id>/1`. Stored events never change.
"""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, text

PLACE: Final = """
CASE platform WHEN 'discord' THEN metadata ->> 'parent_id' WHEN 'telegram' THEN metadata ->> 'topic_id' END
"""
"""SQL of where in its channel, or above it, an event is: the parent on Discord, the topic on Telegram."""

STRUCTURE: Final = """
SELECT DISTINCT ON (platform, channel_id) platform, channel_id, parent_id
FROM channel_names WHERE community_id = ANY(CAST(:parts AS text[])) AND platform = 'discord'
ORDER BY platform, channel_id, seen_at DESC, parent_id COLLATE "C" DESC NULLS LAST
"""
"""Query of the parents that notices of names tell, the latest of each channel: platform, channel_id, parent_id."""

JOIN_STRUCTURE: Final = """
LEFT JOIN structure AS s ON (s.platform, s.channel_id) = ({row}.platform, {row}.channel_id)
"""

CHANNEL: Final = """
CASE {row}.platform
    WHEN 'discord' THEN coalesce({row}.place, s.parent_id, {row}.channel_id)
    WHEN 'telegram' THEN CASE
        WHEN {row}.place IS NOT NULL THEN {row}.channel_id || '/' || {row}.place
        WHEN {row}.channel_id IN (SELECT chat_id FROM topic_chats) THEN {row}.channel_id || '/1'
        ELSE {row}.channel_id
    END
    ELSE {row}.channel_id
END
"""
"""SQL of the channel for which `row` counts. It needs `JOIN_STRUCTURE`, and the chats with topics in `topic_chats`."""

IS_BELOW: Final = """
ARRAY[
    platform || ':' || channel_id, platform || ':' || (metadata ->> 'parent_id'),
    platform || ':' || (metadata ->> 'category_id'),
    CASE WHEN platform = 'telegram' AND (metadata ->> 'topic_id' IS NOT NULL OR event_type = 'MESSAGE_SENT')
        THEN platform || ':' || channel_id || '/' || coalesce(metadata ->> 'topic_id', '1') END
] && CAST({channels} AS text[])
"""
"""Condition that an event is in, or below, one of the channels in a parameter, which `with_channels_below` returned."""

# A category may hold channels, and these threads.
_SELECT_CHANNELS_BELOW = text("""
WITH RECURSIVE below (id) AS (
    SELECT unnest(CAST(:ids AS text[]))
    UNION
    SELECT n.platform || ':' || n.channel_id FROM below JOIN channel_names AS n
        ON below.id IN (n.platform || ':' || n.parent_id, n.platform || ':' || n.category_id)
    WHERE n.community_id = ANY(CAST(:parts AS text[]))
)
SELECT id FROM below
""")


def with_channels_below(connection: Connection, parts: Sequence[str], ids: Collection[str]) -> frozenset[str]:
    """Return the channels, written PLATFORM:CHANNEL, and those that are in them by the notices of names."""
    if not ids:
        return frozenset()
    return frozenset(connection.scalars(_SELECT_CHANNELS_BELOW, {"ids": list(ids), "parts": list(parts)}))
