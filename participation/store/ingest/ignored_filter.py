"""Discards what is in the channels that a community ignores: events, names of channels, and dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson
from sqlalchemy import Connection

from participation import platforms
from participation.notices.names import ChannelName, Name
from participation.store.communities.settings import SpecialCase
from participation.store.days import channels, parts
from participation.store.dead_letters import NewDeadLetter
from participation.store.ingest import events
from participation.store.ingest.content import Content
from participation.store.ingest.events import NULL, Accepted

Ignored = Mapping[str | None, frozenset[str]]
"""The ignored channels of each community, written PLATFORM:CHANNEL, with those that are known to be in them."""


def filter_ignored(connection: Connection, content: Content, cases: Sequence[SpecialCase]) -> Content:
    """Return the content without what is in ignored channels.

    cases: the special cases among the communities of the batch. The caller holds `locks.share_time_zones`, so the
    settings do not change until its transaction ends.
    """
    ignored: Ignored = {
        case.community_id: _channels(connection, case) for case in cases if case.whole and case.ignored_channels
    }
    if not ignored:
        return content
    accepted = [item for item in content.accepted if not _is_event_ignored(item, ignored)]
    names = [each for each in content.notices.names if not _is_name_ignored(each, ignored)]
    dead = [letter for letter in content.dead if not _is_letter_ignored(letter, ignored)]
    return Content(accepted, replace(content.notices, names=names), dead)


def _channels(connection: Connection, case: SpecialCase) -> frozenset[str]:
    ids = parts.parts_of(connection, case.whole or case.community_id)
    return channels.with_channels_below(connection, ids, case.ignored_channels or [])


def _is_event_ignored(item: Accepted, ignored: Ignored) -> bool:
    if item.community_id not in ignored:
        return False
    row = item.row
    metadata = orjson.loads(events.unescaped(row.metadata)) if "_id" in row.metadata else {}
    channel_id = None if row.channel_id == NULL else events.unescaped(row.channel_id)
    found = platforms.channel_ids(row.platform, channel_id, metadata, row.event_type)
    return not ignored[item.community_id].isdisjoint(found)


def _is_name_ignored(name: Name, ignored: Ignored) -> bool:
    if not isinstance(name, ChannelName) or name.community_id not in ignored:
        return False
    found = (f"{name.platform}:{each}" for each in (name.id, name.parent_id, name.category_id) if each)
    return not ignored[name.community_id].isdisjoint(found)


def _is_letter_ignored(letter: NewDeadLetter, ignored: Ignored) -> bool:
    """Return whether the letter is in an ignored channel. If its platform cannot be read, the channel alone decides."""
    chosen = ignored.get(letter.community_id, frozenset())
    alone = {each.partition(":")[2] for each in chosen}
    return any(each in chosen or (each.startswith(":") and each[1:] in alone) for each in letter.channels)
