"""Stores one claimed batch in PostgreSQL, in one transaction."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from participation.errors import BatchTaken
from participation.store import dead_letters, locks
from participation.store.communities import settings as communities
from participation.store.dead_letters import NewDeadLetter
from participation.store.ingest import events, import_counts, late_messages, notices
from participation.store.ingest.content import Content
from participation.store.ingest.deleted_filter import filter_deleted
from participation.store.ingest.events import Accepted, Source
from participation.store.ingest.ignored_filter import filter_ignored
from participation.store.ingest.opt_out_filter import filter_opted_out


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of a batch: received = stored + duplicates + dead.

    Not in received: opted_out, deleted and ignored, which were discarded, and notices, which are counted by message.
    """

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    dead: int = 0
    opted_out: int = 0
    notices: int = 0
    deleted: int = 0
    ignored: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + others for mine, others in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        text = f"stored {self.stored:,} · duplicates {self.duplicates:,} · dead {self.dead:,}"
        discarded = {"opted out": self.opted_out, "deleted": self.deleted, "ignored": self.ignored}
        beside = {**discarded, "notices": self.notices}
        return " · ".join([text, *(f"{name} {count:,}" for name, count in beside.items() if count)])


class BatchResult(NamedTuple):
    """The counts of a stored batch, total and by community. None is for dead letters that name no community."""

    total: Counts
    by_community: Mapping[str | None, Counts]


# A COPY that fails at a duplicate leaves dead rows. Duplicates often come in series, so for a minute it is not tried.
_INSERT_BATCH = text("""
INSERT INTO ingest_batches (batch_id, started_at) VALUES (:batch_id, :started_at)
ON CONFLICT DO NOTHING
RETURNING NOT EXISTS (
    SELECT FROM ingest_batches
    WHERE stored_at BETWEEN now() - interval '1 minute' AND now() + interval '1 minute' AND duplicates > 0
)
""")

_UPDATE_BATCH = text("""
UPDATE ingest_batches
SET received = :received, stored = :stored, duplicates = :duplicates, dead = :dead, opted_out = :opted_out,
    notices = :notices, deleted = :deleted, ignored = :ignored, stored_at = clock_timestamp()
WHERE batch_id = :batch_id
""")

_DELETE_OLD_BATCHES = text("""
WITH old AS (
    DELETE FROM ingest_batches WHERE stored_at < now() - make_interval(days => :days) RETURNING batch_id
)
DELETE FROM import_counts WHERE batch_id IN (SELECT batch_id FROM old)
""")


def store_batch(
    connection: Connection,
    batch_id: str,
    started_at: datetime,
    content: Content,
    *,
    keep_names: bool = True,
) -> BatchResult | None:
    """Store the batch; return its counts, or None if it was stored before.

    keep_names: as in `notices.store`. The caller has created the partitions and communities, and commits. A row that
    passed validation and is rejected by PostgreSQL becomes a dead letter. Raises `BatchTaken` while another transaction
    stores the batch, and `Unavailable` if a community was deleted meanwhile.
    """
    if not locks.try_lock_batch(connection, batch_id):
        raise BatchTaken(f"another process is storing the batch {batch_id}")
    all_new = connection.scalar(_INSERT_BATCH, {"batch_id": batch_id, "started_at": started_at})
    if all_new is None:
        return None
    locks.share_time_zones(connection)
    cases = communities.special_cases(connection, content.community_ids)
    left = filter_deleted(content, cases)
    heard = filter_ignored(connection, left, cases)
    kept = filter_opted_out(connection, heard)
    accepted, told, dead = kept
    notices.store(connection, told, keep_names=keep_names)
    stored, rejected = events.insert(connection, accepted, all_new=all_new)
    if stored:
        late_messages.mark_reactions(connection, accepted, cases)
    dead_letters.insert(connection, batch_id, [*dead, *rejected])
    steps = {"deleted": (content, left), "ignored": (left, heard), "opted_out": (heard, kept)}
    discarded = {name: _discarded(*step) for name, step in steps.items()}
    by_source = _count(accepted, dead, stored, rejected, discarded)
    by_import = _sum(by_source, lambda source: source[1])
    import_counts.insert(connection, batch_id, {name: asdict(counts) for name, counts in by_import.items() if name})
    total = sum(by_source.values(), start=Counts(notices=told.messages))
    connection.execute(_UPDATE_BATCH, {"batch_id": batch_id, **asdict(total)})
    return BatchResult(total, _sum(by_source, lambda source: source[0]))


def _discarded(before: Content, after: Content) -> Counter[Source]:
    """Return how much a filter has discarded, by source. Mostly it has nothing to discard, and returns its input."""
    return Counter() if after is before else before.sources - after.sources


def delete_old_batches(connection: Connection, days: int) -> None:
    """Delete the rows of batches that were stored more than this many days ago. The caller commits."""
    connection.execute(_DELETE_OLD_BATCHES, {"days": days})


def _count(
    accepted: Sequence[Accepted],
    dead: Sequence[NewDeadLetter],
    stored: Counter[Source],
    rejected: Sequence[NewDeadLetter],
    discarded: Mapping[str, Counter[Source]],
) -> dict[Source, Counts]:
    """Return the counts of each community and import. discarded: beside `received`, by the field of `Counts`."""
    received = events.by_source(accepted) + Counter(letter.source for letter in dead)
    quarantined = Counter(letter.source for letter in (*dead, *rejected))
    return {
        source: Counts(
            received[source],
            stored[source],
            received[source] - stored[source] - quarantined[source],
            quarantined[source],
            **{name: counts[source] for name, counts in discarded.items()},
        )
        for source in set(received).union(*discarded.values())
    }


def _sum(by_source: Mapping[Source, Counts], key: Callable[[Source], str | None]) -> dict[str | None, Counts]:
    sums: defaultdict[str | None, Counts] = defaultdict(Counts)
    for source, counts in by_source.items():
        sums[key(source)] += counts
    return dict(sums)
