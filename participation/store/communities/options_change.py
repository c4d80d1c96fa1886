"""Changes the options of a community, and marks the days that come out differently."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, text

from participation import accounts
from participation.errors import ConfigError
from participation.event import quoted
from participation.store import locks, options
from participation.store.days import due, parts
from participation.store.options import Options


@dataclass(frozen=True, slots=True)
class Change:
    """What to change, by the name of the option: entries to add to lists, entries to remove, and new values."""

    add: Mapping[str, Collection[str]] = field(default_factory=dict)
    remove: Mapping[str, Collection[str]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


# By notices of names, by computed days and by events. The last reads all events of the community, so it comes last.
_IS_CHANNEL_KNOWN = text("""
SELECT EXISTS (
    SELECT FROM channel_names WHERE community_id = ANY(CAST(:parts AS text[])) AND platform = :platform
        AND :channel_id IN (channel_id, parent_id, category_id)
) OR EXISTS (
    SELECT FROM channel_daily_highlights WHERE community_id = :community_id AND platform = :platform
        AND channel_id = :channel_id
) OR EXISTS (
    SELECT FROM participation_events WHERE community_id = ANY(CAST(:parts AS text[])) AND platform = :platform
        AND :channel_id IN (
            channel_id, metadata ->> 'parent_id', metadata ->> 'category_id',
            channel_id || '/' || (metadata ->> 'topic_id')
        )
)
""")

_SELECT_CHANNELS = text("""
SELECT platform || ':' || channel_id AS id, max(name) AS name
FROM (
    SELECT platform, channel_id, name FROM channel_names WHERE community_id = ANY(CAST(:parts AS text[]))
    UNION ALL SELECT platform, channel_id, NULL FROM channel_daily_highlights WHERE community_id = :community_id
) AS known
GROUP BY 1 ORDER BY 1
""")

_IS_PERSON_LINKED = text("SELECT EXISTS (SELECT FROM member_accounts WHERE person_id = :member)")


def change(connection: Connection, community_id: str, wanted: Change) -> bool:
    """Change the options of a community that exists; return whether all its days became due.

    The caller commits. Raises `ConfigError`, and changes nothing, for a value that breaks its rule, a channel that no
    event and no notice has told, and a person who has no linked account.
    """
    locks.lock_time_zones(connection)
    before = options.read(connection, community_id)
    after = options.decode(_changed(before, wanted))
    for channel in sorted({*after.excluded_channels, *after.ignored_channels} - _channels_of(before)):
        _check_channel(connection, community_id, channel)
    for member in set(after.excluded_members) - set(before.excluded_members):
        _check_member(connection, member)
    options.write(connection, community_id, after)
    if changes := after.changes_days(before):
        due.mark_all_days(connection, community_id)
    return changes


def _changed(before: Options, wanted: Change) -> dict[str, Any]:
    settings = before.model_dump(exclude_defaults=True)
    for name in {*wanted.add, *wanted.remove}:
        removed = set(wanted.remove.get(name, ()))
        if unknown := sorted(removed - set(getattr(before, name))):
            raise ConfigError(f"{name}: {quoted(unknown[0])} is not in the list: see `participation communities show`")
        settings[name] = sorted({*getattr(before, name), *wanted.add.get(name, ())} - removed)
    return {**settings, **wanted.values}


def _channels_of(given: Options) -> set[str]:
    return {*given.excluded_channels, *given.ignored_channels}


def _check_channel(connection: Connection, community_id: str, channel: str) -> None:
    platform, _, channel_id = channel.partition(":")
    ids = parts.parts_of(connection, community_id)
    values = {"parts": ids, "community_id": community_id, "platform": platform, "channel_id": channel_id}
    known = connection.scalar(_IS_CHANNEL_KNOWN, values)
    if not known and platform == "telegram" and channel_id.endswith("/1"):
        known = connection.scalar(_IS_CHANNEL_KNOWN, {**values, "channel_id": channel_id.removesuffix("/1")})
    if not known:
        raise ConfigError(
            f"{quoted(channel)} is not a channel that an event or a name has told: {_near(connection, channel, values)}"
        )


def _near(connection: Connection, channel: str, values: dict[str, Any]) -> str:
    found = {each.id: each.name for each in connection.execute(_SELECT_CHANNELS, values)}
    wanted = channel.partition(":")[2].lstrip("#").lower()
    near = [each for each, name in found.items() if name and name.lower() == wanted]
    near += get_close_matches(channel, [each for each in found if each not in near], n=3, cutoff=0.5)
    if not near:
        return "give the id of a channel in which something has happened, written PLATFORM:CHANNEL"
    named = (f"{each} (#{found[each]})" if found[each] else each for each in near[:3])
    return f"did you mean {' or '.join(named)}?"


def _check_member(connection: Connection, member: str) -> None:
    if accounts.find(member) is None and not connection.scalar(_IS_PERSON_LINKED, {"member": member}):
        raise ConfigError(
            f"no account is linked to {quoted(member)}, and it is not an account: "
            "write PLATFORM:ACCOUNT, such as irc:ada"
        )
