"""③ Decode and quarantine: list elements in; rows for PostgreSQL and dead letters out."""

from collections.abc import Iterable

import orjson

from participation import event, message
from participation.errors import InvalidEvent
from participation.ingest import plain
from participation.store import whose
from participation.store.events import Accepted, DeadLetter, Row, copied


def read(elements: Iterable[bytes]) -> tuple[list[Accepted], list[DeadLetter]]:
    """Sort the elements of a batch into what can be stored and what cannot. Nothing else happens to them."""
    accepted: list[Accepted] = []
    dead: list[DeadLetter] = []
    for raw in elements:
        if (found := plain.row(raw)) is not None:
            accepted.append(Accepted(found, found.community_id, raw))
        else:
            _examine(raw, accepted, dead)
    return accepted, dead


def _examine(raw: bytes, accepted: list[Accepted], dead: list[DeadLetter]) -> None:
    import_id, payload = None, None
    try:
        envelope = message.decode(raw)
        import_id, payload = envelope.import_id, envelope.event
        item = event.decode(payload)
        accepted.append(Accepted(row(item, import_id), item.community_id, raw))
    except InvalidEvent as error:
        dead.append(DeadLetter.of(raw, error.code, str(error), import_id, whose.named(payload)))


def row(item: event.Event, import_id: str | None = None) -> Row:
    """Return the event as a row of `participation_events`."""
    return Row(
        copied(item.community_id),
        event.moment(item.occurred_at),
        event.event_id(item).hex,
        item.platform,
        item.event_type,
        copied(item.channel_id),
        copied(item.member_id),
        copied(item.object_id),
        copied(item.object_author_id),
        item.actor_kind,
        copied(orjson.dumps(item.metadata).decode()),
        copied(import_id),
    )
