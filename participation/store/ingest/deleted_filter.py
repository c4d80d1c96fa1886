"""Discards what occurred in a community before an operator deleted it: events, notices and dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from participation.errors import Unavailable
from participation.store.communities.settings import SpecialCase
from participation.store.ingest.content import Content
from participation.store.ingest.events import Accepted


def filter_deleted(content: Content, found: Sequence[SpecialCase]) -> Content:
    """Return the content without what is from before the deletion of its community.

    found: the special cases among the communities of the batch. Raises `Unavailable` if a community was deleted between
    `communities.create_missing` and now, although it has later events.
    """
    deleted = {each.community_id: each.deleted_at for each in found if each.deleted_at is not None}
    kept = _filter(content, deleted) if deleted else content
    missing = {each.community_id for each in found if not each.exists}
    if missing and any(item.community_id in missing for item in kept.accepted):
        raise Unavailable("a community was deleted while its events were waiting to be stored: try again")
    return kept


def _filter(content: Content, deleted: Mapping[str, datetime]) -> Content:
    accepted = [item for item in content.accepted if not _is_event_deleted(item, deleted)]
    names = [each for each in content.notices.names if not _is_before(each.community_id, each.seen_at, deleted)]
    presences = [
        each for each in content.notices.presences if not _is_before(each.community_id, each.changed_at, deleted)
    ]
    dead = [letter for letter in content.dead if not _is_before(letter.community_id, letter.occurred_at, deleted)]
    return Content(accepted, replace(content.notices, names=names, presences=presences), dead)


def _is_event_deleted(item: Accepted, deleted: Mapping[str, datetime]) -> bool:
    return item.community_id in deleted and _is_before(
        item.community_id, datetime.fromisoformat(item.row.occurred_at), deleted
    )


def _is_before(community_id: str | None, at: datetime | None, deleted: Mapping[str, datetime]) -> bool:
    """Return whether it is from before the deletion. Without a readable time, it is."""
    limit = deleted.get(community_id or "")
    return limit is not None and (at is None or at < limit)
