"""Parts of a community: several community ids that count as one community.

An event keeps the `community_id` that it came with. If that id is a part, the event counts for the community that the
part is in. A community that has parts also has the events under its own id. The caller holds
`locks.share_time_zones`, so that no part moves meanwhile.
"""

from typing import Final

from sqlalchemy import Connection, text

JOIN_COMMUNITY: Final = """
LEFT JOIN community_parts AS part ON part.part_id = {source}.community_id
JOIN communities AS c ON c.community_id = coalesce(part.community_id, {source}.community_id)
"""
"""SQL that joins the community `c` for which rows of `source` count, by their `community_id`."""

_SELECT_COMMUNITY_OF_PART = text("SELECT community_id FROM community_parts WHERE part_id = :community_id")

_SELECT_PARTS = text("SELECT part_id FROM community_parts WHERE community_id = :community_id ORDER BY part_id")


def community_of(connection: Connection, community_id: str) -> str | None:
    """Return the community that this id is a part of, or None if it is not a part."""
    found: str | None = connection.scalar(_SELECT_COMMUNITY_OF_PART, {"community_id": community_id})
    return found


def parts_of(connection: Connection, community_id: str) -> list[str]:
    """Return the ids whose events count for the community, its own id first."""
    return [community_id, *connection.scalars(_SELECT_PARTS, {"community_id": community_id})]
