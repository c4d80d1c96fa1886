"""The decoded content of a batch."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from participation.store.dead_letters import NewDeadLetter
from participation.store.ingest.events import Accepted, Source, by_source
from participation.store.ingest.notices import Notices


class Content(NamedTuple):
    """Events that can be stored, notices, and dead letters for everything else."""

    accepted: Sequence[Accepted]
    notices: Notices
    dead: Sequence[NewDeadLetter]

    @property
    def sources(self) -> Counter[Source]:
        """How many events, names and letters there are of each community and import."""
        counts = by_source(self.accepted)
        counts.update(letter.source for letter in self.dead)
        counts.update((name.community_id, None) for name in self.notices.names)
        return counts

    @property
    def community_ids(self) -> set[str]:
        """The ids of all communities that are named."""
        stored = {item.community_id for item in self.accepted}
        told = {each.community_id for each in (*self.notices.names, *self.notices.presences)}
        return stored | told | {letter.community_id for letter in self.dead if letter.community_id is not None}
