"""③ Decode and quarantine: list elements in; rows for PostgreSQL and dead letters out."""

from collections.abc import Iterable

import orjson

from participation import event, message
from participation.errors import InvalidEvent
from participation.store.events import Accepted, DeadLetter, Row


def read(elements: Iterable[bytes]) -> tuple[list[Accepted], list[DeadLetter]]:
    """Sort the elements of a batch into what can be stored and what cannot. Nothing else happens to them."""
    accepted: list[Accepted] = []
    dead: list[DeadLetter] = []
    for raw in elements:
        import_id = None
        try:
            envelope = message.decode(raw)
            import_id = envelope.import_id
            accepted.append(Accepted(row(event.decode(envelope.event), import_id), raw))
        except InvalidEvent as error:
            dead.append(DeadLetter.of(raw, error.code, str(error), import_id))
    return accepted, dead


def row(item: event.Event, import_id: str | None = None) -> Row:
    """Return the event as a row of `participation_events`."""
    return Row(
        item.community_id,
        item.occurred_at.isoformat(),
        str(event.event_id(item)),
        item.platform,
        item.event_type,
        item.channel_id,
        item.member_id,
        item.object_id,
        item.object_author_id,
        item.actor_kind,
        orjson.dumps(item.metadata).decode(),
        import_id,
    )
