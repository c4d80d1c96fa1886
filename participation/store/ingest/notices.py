"""Stores the notices of a batch, in the transaction that stores its events."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from participation.notices.names import Name, SpaceName
from participation.notices.presence import Presence
from participation.store.communities import names, presence


@dataclass(frozen=True, slots=True)
class Notices:
    """The notices of a batch. messages: how many messages they came in."""

    messages: int = 0
    names: Sequence[Name] = field(default_factory=list)
    presences: Sequence[Presence] = field(default_factory=list)

    @property
    def has_moved_spaces(self) -> bool:
        """Whether a name tells that a space has another id now."""
        return any(isinstance(each, SpaceName) and each.former_id for each in self.names)


def store(connection: Connection, notices: Notices, *, keep_names: bool) -> None:
    """Store the notices. keep_names: whether names are stored, or only what belongs to what. The caller commits."""
    names.store(connection, notices.names, keep_names=keep_names)
    # In the order of the key. Otherwise two batches could deadlock.
    for each in sorted(notices.presences, key=lambda given: (given.community_id, given.platform, given.space_id or "")):
        presence.store_presence(connection, each)
