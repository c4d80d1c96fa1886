"""The decoded content of a batch."""

from collections.abc import Sequence
from typing import NamedTuple

from participation.store.dead_letters import NewDeadLetter
from participation.store.ingest.events import Accepted
from participation.store.ingest.notices import Notices


class Content(NamedTuple):
    """Events that can be stored, notices, and dead letters for everything else."""

    accepted: Sequence[Accepted]
    notices: Notices
    dead: Sequence[NewDeadLetter]
