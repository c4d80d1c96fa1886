"""Groups communities into one, and takes parts out again. Only derived data changes, so it can be undone at any time.

Stored events keep the community_id that they came with. `store.days.parts` finds for which community they count.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text

from participation import event, log
from participation.errors import ConfigError
from participation.event import quoted
from participation.platforms import default_community_id
from participation.store import locks
from participation.store.database import transaction
from participation.store.days import due, parts


class Replaced(NamedTuple):
    """A part whose own settings are not in force while it is grouped: its name and zone, and other settings."""

    community_id: str
    name: str | None
    timezone: str
    settings: dict[str, Any]


# A new community takes over what the first part had.
_INSERT_COMMUNITY_LIKE = text("""
INSERT INTO communities (community_id, name, timezone, settings)
SELECT :community_id, name, timezone, settings FROM communities WHERE community_id = :first
ON CONFLICT DO NOTHING
""")

_INSERT_UNKNOWN_COMMUNITIES = text("""
INSERT INTO communities (community_id) SELECT unnest(CAST(:ids AS text[])) ON CONFLICT DO NOTHING
""")

_SELECT_MEMBERSHIPS = text("""
SELECT part_id, community_id FROM community_parts WHERE part_id = ANY(CAST(:ids AS text[])) ORDER BY part_id
""")

_INSERT_PARTS = text("""
INSERT INTO community_parts (part_id, community_id)
SELECT unnest(CAST(:ids AS text[])), :community_id
ON CONFLICT (part_id) DO NOTHING
""")

_MOVE_PARTS = text("""
UPDATE community_parts SET community_id = :community_id WHERE community_id = ANY(CAST(:ids AS text[]))
""")

_DELETE_PARTS = text("DELETE FROM community_parts WHERE part_id = ANY(CAST(:ids AS text[]))")

_DELETE_COMPUTED_DAYS = [
    text(f"DELETE FROM {table} WHERE community_id = ANY(CAST(:ids AS text[]))")
    for table in ("due_days", "member_daily_highlights", "community_daily_highlights", "channel_daily_highlights")
]

_SELECT_REPLACED = text("""
SELECT p.community_id, p.name, p.timezone, p.settings
FROM communities AS p JOIN communities AS c ON c.community_id = :community_id
WHERE p.community_id = ANY(CAST(:ids AS text[]))
    AND (p.name, p.timezone, p.settings) IS DISTINCT FROM (c.name, c.timezone, c.settings)
    AND (p.name, p.timezone, p.settings) IS DISTINCT FROM (NULL, 'UTC', '{}')
ORDER BY p.community_id
""")


class MovedSpace(NamedTuple):
    """A space whose platform gave it another id."""

    platform: str
    former_id: str
    space_id: str


# Only default ids: where the author of a bot chose the community, both ids of the space have the same one.
_SELECT_MOVED_SPACES = text("""
SELECT DISTINCT platform, former_id, space_id FROM space_names
WHERE former_id IS NOT NULL AND community_id IN (platform || ':' || space_id, platform || ':' || former_id)
ORDER BY platform, former_id, space_id
""")

# Once only: an operator may take the part out again.
_UPDATE_MOVED_SPACE = text("""
UPDATE space_names SET former_id = NULL
WHERE platform = :platform AND space_id = :space_id AND former_id = :former_id
""")


def group(connection: Connection, community_id: str, ids: Sequence[str]) -> list[Replaced]:
    """Count the communities as one from now on; return the parts whose own settings are not in force any more.

    A community that has parts takes them along. All days of the community become due, and those of the parts are
    deleted. The caller commits. Repeating it is safe. Raises `ConfigError`, and changes nothing, if an id is a part of
    another community, or if the community is a part itself.
    """
    for each in (community_id, *ids):
        event.check(community_id=each)
    locks.lock_time_zones(connection)
    _check_group(connection, community_id, ids)
    connection.execute(_INSERT_COMMUNITY_LIKE, {"community_id": community_id, "first": ids[0]})
    connection.execute(_INSERT_UNKNOWN_COMMUNITIES, {"ids": sorted({community_id, *ids})})
    values = {"community_id": community_id, "ids": sorted(set(ids))}
    connection.execute(_MOVE_PARTS, values)
    connection.execute(_INSERT_PARTS, values)
    for statement in _DELETE_COMPUTED_DAYS:
        connection.execute(statement, values)
    due.mark_all_days(connection, community_id)
    return [Replaced(*row) for row in connection.execute(_SELECT_REPLACED, values)]


def ungroup(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Count each id as a community of its own again; return the communities that they were parts of.

    All days of these communities and of the ids become due. The caller commits. Raises `ConfigError`, and changes
    nothing, if an id is not a part.
    """
    locks.lock_time_zones(connection)
    found: dict[str, str] = {row[0]: row[1] for row in connection.execute(_SELECT_MEMBERSHIPS, {"ids": list(ids)})}
    for each in ids:
        if each not in found:
            raise ConfigError(f"{quoted(each)} is not a part of a community: see `participation communities list`")
    communities = sorted(set(found.values()))
    # Marked while the parts are still there, so that days on which only they have events are computed again, too.
    for each in communities:
        due.mark_all_days(connection, each)
    connection.execute(_DELETE_PARTS, {"ids": list(ids)})
    connection.execute(_INSERT_UNKNOWN_COMMUNITIES, {"ids": sorted(set(ids))})
    for each in sorted(set(ids)):
        due.mark_all_days(connection, each)
    return communities


def group_moved_spaces(engine: Engine) -> list[MovedSpace]:
    """Group the communities of spaces whose id changed, such as a group of Telegram that became a supergroup.

    Clients send the id that they see, so the events before and after the change have different default communities.
    The earlier one keeps its settings, and the later one becomes a part of it. Returns the spaces whose communities
    were grouped. If both are in different communities already, an operator decided that, and nothing changes.
    """
    with transaction(engine) as connection:
        moved = [MovedSpace(*row) for row in connection.execute(_SELECT_MOVED_SPACES)]
    return [each for each in moved if _group_moved(engine, each)]


def _group_moved(engine: Engine, moved: MovedSpace) -> bool:
    before, after = (default_community_id(moved.platform, each) for each in (moved.former_id, moved.space_id))
    with transaction(engine) as connection:
        locks.lock_time_zones(connection)
        connection.execute(_UPDATE_MOVED_SPACE, moved._asdict())
        whole = parts.community_of(connection, before) or before
        if whole == after or parts.community_of(connection, after) is not None:
            return False
        group(connection, whole, [after])
    log.event("space_moved", community_id=whole, part_id=after)
    return True


def _check_group(connection: Connection, community_id: str, ids: Sequence[str]) -> None:
    if not ids:
        raise ConfigError("no part is given: name the communities that become parts")
    if community_id in ids:
        raise ConfigError(f"{quoted(community_id)} cannot be a part of itself: name only other communities as parts")
    if whole := parts.community_of(connection, community_id):
        raise ConfigError(f"{quoted(community_id)} is a part of {quoted(whole)}: group into {quoted(whole)} instead")
    for part_id, whole in connection.execute(_SELECT_MEMBERSHIPS, {"ids": list(ids)}):
        if whole != community_id:
            raise ConfigError(
                f"{quoted(part_id)} is a part of {quoted(whole)}: run `participation communities ungroup {part_id}` "
                f"first, or group {quoted(whole)} with all its parts"
            )
