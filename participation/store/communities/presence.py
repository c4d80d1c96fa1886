"""Stores whether bots are in the spaces of a community, and finds the communities whose bots were removed.

A community may have several spaces of a platform, because the author of a bot may give several guilds or chats the same
community_id. Nothing of it is deleted before the bot was removed from all of them. An event that occurred after the
removal also shows that the bot, or another one, is in the community again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import Connection, text

from participation.limits import AHEAD

if TYPE_CHECKING:
    from participation.notices.presence import Presence


class Removal(NamedTuple):
    """The bots of a platform were removed from a community. The data that they brought is deleted after `due_at`."""

    community_id: str
    platform: str
    due_at: datetime


_UPSERT_PRESENCE = text("""
INSERT INTO community_bots AS b (community_id, platform, space_id, is_present, changed_at)
VALUES (:community_id, :platform, coalesce(:space_id, ''), :is_present, :changed_at)
ON CONFLICT (community_id, platform, space_id) DO UPDATE
SET is_present = excluded.is_present, changed_at = excluded.changed_at
WHERE (excluded.changed_at, excluded.is_present) > (b.changed_at, b.is_present)
""")

# Rows without a space are from older bots. They do not count where a newer bot has told the spaces.
# The clocks of bots and platforms differ, so an event a moment after the removal may be from before it. The margin also
# gives queued events time to arrive before the data of their community is deleted.
_REMOVALS: Final = """
SELECT community_id, platform, removed_at + greatest(CAST(:grace AS interval), CAST(:margin AS interval)) AS due_at
FROM (
    SELECT community_id, platform, max(changed_at) AS removed_at
    FROM (
        SELECT *, max(space_id) OVER (PARTITION BY community_id, platform) AS last_space_id FROM community_bots
    ) AS bots
    WHERE space_id <> '' OR last_space_id = ''
    GROUP BY community_id, platform HAVING NOT bool_or(is_present)
) AS removed
WHERE NOT EXISTS (
    SELECT FROM participation_events AS e
    WHERE e.community_id = removed.community_id AND e.platform = removed.platform
        AND e.occurred_at > removed.removed_at + CAST(:margin AS interval)
)
"""

_SELECT_REMOVALS = text(f"{_REMOVALS} ORDER BY community_id, platform")

_SELECT_DUE_REMOVALS = text(
    f"SELECT * FROM ({_REMOVALS}) AS removals WHERE due_at <= now() ORDER BY community_id, platform"
)

# Locked, so that the notice of a bot that was added again waits for this step, and then prevents the next one.
_LOCK_PRESENCE = text("""
SELECT FROM community_bots WHERE community_id = :community_id AND platform = :platform ORDER BY space_id FOR UPDATE
""")

_IS_REMOVAL_DUE = text(f"""
SELECT EXISTS (
    SELECT FROM ({_REMOVALS}) AS removals
    WHERE community_id = :community_id AND platform = :platform AND due_at <= now()
)
""")

_DELETE_PRESENCE = text("DELETE FROM community_bots WHERE community_id = :community_id AND platform = :platform")


def store_presence(connection: Connection, presence: "Presence") -> bool:
    """Store the notice unless a later one is stored; return whether it was stored. The caller commits."""
    return bool(connection.execute(_UPSERT_PRESENCE, presence._asdict()).rowcount)


def pending_removals(connection: Connection, grace_days: int) -> Sequence[Removal]:
    """Return the removed bots whose data will be deleted if no bot is added again before."""
    return [Removal(*row) for row in connection.execute(_SELECT_REMOVALS, _period(grace_days))]


def due_removals(connection: Connection, grace_days: int) -> Sequence[Removal]:
    """Return the removed bots whose data must be deleted now."""
    return [Removal(*row) for row in connection.execute(_SELECT_DUE_REMOVALS, _period(grace_days))]


def lock_if_due(connection: Connection, removal: Removal, grace_days: int) -> bool:
    """Return whether the removal is still due. New notices about the bot wait until this transaction ends."""
    key = {"community_id": removal.community_id, "platform": removal.platform}
    connection.execute(_LOCK_PRESENCE, key)
    return bool(connection.scalar(_IS_REMOVAL_DUE, {**key, **_period(grace_days)}))


def delete_presence(connection: Connection, removal: Removal) -> None:
    """Delete the row of the removed bot. The caller commits."""
    connection.execute(_DELETE_PRESENCE, {"community_id": removal.community_id, "platform": removal.platform})


def _period(grace_days: int) -> dict[str, timedelta]:
    return {"grace": timedelta(days=grace_days), "margin": AHEAD}
