"""③ Decode: turns the elements of a batch into rows for PostgreSQL and dead letters."""

from collections.abc import Iterable

import orjson

from participation import event, message
from participation.errors import InvalidEvent
from participation.ingest import fast_decode
from participation.mentions import find_mentions
from participation.store.dead_letters import NewDeadLetter
from participation.store.ingest.events import Accepted, Row, copy_text


def decode_batch(elements: Iterable[bytes]) -> tuple[list[Accepted], list[NewDeadLetter]]:
    """Decode the elements of a batch; return the events that can be stored, and dead letters for the others."""
    accepted: list[Accepted] = []
    dead: list[NewDeadLetter] = []
    for raw in elements:
        if (row := fast_decode.decode_row(raw)) is not None:
            accepted.append(Accepted(row, row.community_id, raw))
        else:
            _decode(raw, accepted, dead)
    return accepted, dead


def _decode(raw: bytes, accepted: list[Accepted], dead: list[NewDeadLetter]) -> None:
    import_id, payload = None, None
    try:
        envelope = message.decode(raw)
        import_id, payload = envelope.import_id, envelope.event
        item = event.decode(payload)
        accepted.append(Accepted(event_row(item, import_id), item.community_id, raw))
    except InvalidEvent as error:
        dead.append(NewDeadLetter.of(raw, error.code, str(error), import_id, find_mentions(payload)))


def event_row(item: event.Event, import_id: str | None = None) -> Row:
    """Return the event as a row of `participation_events`."""
    return Row(
        copy_text(item.community_id),
        event.format_time(item.occurred_at),
        event.event_id(item).hex,
        item.platform,
        item.event_type,
        copy_text(item.channel_id),
        copy_text(item.member_id),
        copy_text(item.object_id),
        copy_text(item.object_author_id),
        item.actor_kind,
        copy_text(orjson.dumps(item.metadata).decode()),
        copy_text(import_id),
    )
