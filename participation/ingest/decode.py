"""③ Decode: turns the elements of a batch into rows for PostgreSQL and dead letters."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson

from participation import event, keys, message
from participation.errors import InvalidEvent
from participation.ingest import fast_decode
from participation.mentions import NO_MENTIONS, find_mentions, find_name_mentions
from participation.message import Message
from participation.notices import names, presence
from participation.notices.names import Name
from participation.notices.presence import Presence
from participation.store.dead_letters import NewDeadLetter
from participation.store.ingest.content import Content
from participation.store.ingest.events import Accepted, Row, copy_text
from participation.store.ingest.notices import Notices


@dataclass(slots=True)
class _Batch:
    """What was decoded so far. notices: how many messages with notices."""

    accepted: list[Accepted] = field(default_factory=list)
    names: list[Name] = field(default_factory=list)
    presences: list[Presence] = field(default_factory=list)
    dead: list[NewDeadLetter] = field(default_factory=list)
    notices: int = 0


def decode_batch(elements: Iterable[bytes]) -> Content:
    """Decode the elements of a batch. Of a list of names, each wrong entry becomes a dead letter of its own."""
    batch = _Batch()
    for raw in elements:
        if (row := fast_decode.decode_row(raw)) is not None:
            batch.accepted.append(Accepted(row, row.community_id, raw))
        else:
            _decode(raw, batch)
    return Content(batch.accepted, Notices(batch.notices, batch.names, batch.presences), batch.dead)


def _decode(raw: bytes, batch: _Batch) -> None:
    import_id, about = None, NO_MENTIONS
    try:
        found = message.decode(raw)
        import_id = found.import_id
        about = find_mentions(found.argument)
        _DECODERS[found.task](raw, found, batch)
    except InvalidEvent as error:
        batch.dead.append(NewDeadLetter.of(raw, error.code, str(error), import_id, about))


def _decode_event(raw: bytes, found: Message, batch: _Batch) -> None:
    item = event.decode(found.argument)
    batch.accepted.append(Accepted(event_row(item, found.import_id), item.community_id, raw))


def _decode_names(raw: bytes, found: Message, batch: _Batch) -> None:
    entries = names.decode_list(found.argument)
    batch.notices += 1
    for entry in entries:
        try:
            batch.names.append(names.decode(entry))
        except InvalidEvent as error:
            letter = NewDeadLetter.of(_alone(raw, entry), error.code, str(error), None, find_name_mentions(entry))
            batch.dead.append(letter)


def _alone(raw: bytes, entry: object) -> bytes:
    """Return a notice with only this entry, or the whole notice if the entry is nested too deeply for JSON."""
    try:
        return message.encode_call(keys.NOTE_NAMES, orjson.dumps([entry]))
    except TypeError:
        return raw


def _decode_presence(raw: bytes, found: Message, batch: _Batch) -> None:
    batch.presences.append(presence.decode(found.argument))
    batch.notices += 1


_DECODERS: Final = {
    keys.TRACK_EVENT: _decode_event,
    keys.NOTE_NAMES: _decode_names,
    keys.NOTE_PRESENCE: _decode_presence,
}


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
