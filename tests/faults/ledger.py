"""What was sent: the ledgers of the producers, and what makes two events one.

In come files of NDJSON, one line an attempt: `*.accepted`, appended to after Redis has acknowledged, and `*.ambiguous`
for attempts that raised or whose end nobody saw. A line is `{"event": …}`, or `{"raw": base64, "reason": code}` for a
list element that is no event, or too long to be read out of what a dead letter keeps. A producer that is killed writes
what it is about to send as ambiguous first: else its last event may be in the tables and in no ledger.

Out goes a `Ledger` that the checker compares with the tables. It keeps digests, not events, so that a million of them
take about a quarter of a gigabyte; the lines can be read again. Nothing here comes from the package, so that one
mistake cannot hide in both.
"""

import base64
import binascii
import json
import uuid
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Final

Event = Mapping[str, Any]

RAW_BYTES: Final = 65_536
"""How much of a list element a dead letter keeps."""

NAMESPACE: Final = uuid.UUID("5f6e3c1c-2b0a-5d0f-9a55-6d2f6a2f7c11")
"""Of derived ids, see docs/events.md."""

ABSENT: Final[Event] = {
    "channel_id": None,
    "object_id": None,
    "object_author_id": None,
    "event_id": None,
    "actor_kind": "user",
    "metadata": {},
}
"""What the columns hold where the event says nothing."""

QUOTED: Final = 1_000
"""Most bytes of a line that an example quotes."""

DIGEST: Final = 16
OFFSET_BITS: Final = 48
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

ACCEPTED, AMBIGUOUS, REPLAYED, STORED, DEAD, WAITING = 1, 2, 4, 8, 16, 32
"""Flags of an event. Sent how: by a ledger of either kind, or out of a replayed letter that no ledger knew as an event.
Found where: stored, in a dead letter, in one that waits and was not replayed."""

SENT: Final = ACCEPTED | AMBIGUOUS | REPLAYED


class CannotCheck(Exception):
    """The check itself is not possible, which says nothing about what is checked."""


def digest(value: object) -> bytes:
    """Shorten a value to some bytes that no other has. Of JSON's values each has a `repr` of its own."""
    return blake2b(repr(value).encode(), digest_size=DIGEST).digest()


def plain(value: object) -> object:
    """Write what is equal in JSON alike: names in order, and integers as such, for `jsonb` gives 1e17 back as one."""
    match value:
        case dict():
            return {name: plain(value[name]) for name in sorted(value)}
        case list():
            return [plain(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
    return value


def instant(value: object) -> int | None:
    """Return the microseconds since 1970, however the moment is written; None for what is none."""
    try:
        at = datetime.fromisoformat(value.upper()) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(at, datetime) or at.utcoffset() is None:
        return None
    return (at - EPOCH) // MICROSECOND


def emoji(event: Event) -> object:
    metadata = event.get("metadata")
    return metadata.get("emoji") if isinstance(metadata, dict) else None


def named(event: Event) -> list[object]:
    """List what makes an event one, but for its time."""
    names = ("platform", "community_id", "channel_id", "member_id", "event_type", "object_id")
    return [*map(event.get, names), plain(emoji(event))]


def identity(event: Event) -> bytes:
    """Return what two events share exactly if they are one. Without a time an event is only itself."""
    at = instant(event.get("occurred_at"))
    return digest(plain({**event}) if at is None else [*named(event), at])


def payload(event: Event) -> bytes:
    """Return what two events share exactly if every column of theirs is equal."""
    columns = {**ABSENT, **event}
    at = instant(columns.get("occurred_at"))
    columns["metadata"] = plain(columns["metadata"])
    columns["event_id"] = _event_id(columns, at)
    columns["occurred_at"] = columns.get("occurred_at") if at is None else at
    return digest(sorted(columns.items()))


def _event_id(event: Event, at: int | None) -> object:
    """Return the id that the event must have; None where we do not know how others write its emoji as JSON."""
    if not isinstance(emoji(event), str | None):
        return None
    given = event["event_id"]
    try:
        if given is not None:
            return str(uuid.UUID(given))
        if at is None:
            return None
        name = [*named(event), (EPOCH + at * MICROSECOND).isoformat()]
        return str(uuid.uuid5(NAMESPACE, json.dumps(name, ensure_ascii=False, separators=(",", ":"))))
    except (ValueError, TypeError, AttributeError, OverflowError):
        return given


def unpack(raw: bytes) -> Event | None:
    """Read the event out of a Celery message, None where there is none."""
    try:
        message = json.loads(raw)
        body = message["body"]
        if isinstance(body, str):
            encoded = (message.get("properties") or {}).get("body_encoding") == "base64"
            body = json.loads(base64.b64decode(body) if encoded else body)
        args, kwargs = (body.get("args"), body.get("kwargs")) if isinstance(body, dict) else body[:2]
        event = args[0] if args else (kwargs or {})["event"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


@dataclass
class Raw:
    """A list element that is no event: how often it was sent, and as what it must lie in the dead letters."""

    whole: bytes
    head: bytes
    size: int
    place: int
    reasons: set[str] = field(default_factory=set)
    accepted: int = 0
    ambiguous: int = 0
    letters: int = 0
    replayed: int = 0


@dataclass
class Ledger:
    """All ledgers together. An event is a number here, by which the arrays are indexed; raws go by their SHA-256."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)
    flags: bytearray = field(default_factory=bytearray)
    payloads: bytearray = field(default_factory=bytearray)
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    sent: "array[int]" = field(default_factory=lambda: array("I"))
    variants: dict[int, set[bytes]] = field(default_factory=dict)
    raws: dict[bytes, Raw] = field(default_factory=dict)
    heads: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, event: Event, flag: int, place: int) -> int:
        """Enter one attempt to send an event; return the event's number. No flag: it was seen, and never sent."""
        number = self.numbers.setdefault(identity(event), len(self.flags))
        shown = payload(event)
        if number == len(self.flags):
            self.flags.append(0)
            self.payloads += shown
            self.places.append(place)
            self.sent.append(0)
        elif not self.says(number, shown):
            # The same event told differently, in what is no part of its identity: the first that came is stored.
            self.variants.setdefault(number, set()).add(shown)
        self.flags[number] |= flag
        self.sent[number] += flag != 0
        return number

    def says(self, number: int, shown: bytes) -> bool:
        """Whether the event was sent with this payload."""
        known = self.payloads[number * DIGEST : (number + 1) * DIGEST]
        return known == shown or shown in self.variants.get(number, ())

    def add_raw(self, raw: bytes, reason: str, flag: int, place: int) -> None:
        whole, head = sha256(raw).digest(), sha256(raw[:RAW_BYTES]).digest()
        entry = self.raws.setdefault(whole, Raw(whole, head, len(raw), place))
        self.heads[head] = whole
        entry.reasons.add(reason)
        entry.accepted += flag == ACCEPTED
        entry.ambiguous += flag == AMBIGUOUS

    def raw(self, whole: bytes, head: bytes) -> Raw | None:
        """Find the element of a dead letter, by its whole hash or, should that be wrong, by what is kept of it."""
        return self.raws.get(whole) or self.raws.get(self.heads.get(head, b""))

    def line(self, number: int) -> "Line":
        """Return where an event stands first."""
        return self.at(self.places[number])

    def at(self, place: int) -> "Line":
        return Line(self.files[place >> OFFSET_BITS], place & ((1 << OFFSET_BITS) - 1))


@dataclass(frozen=True)
class Line:
    """A line of a ledger, read when it is quoted."""

    file: Path
    offset: int

    def __str__(self) -> str:
        with self.file.open("rb") as lines:
            lines.seek(self.offset)
            text = lines.readline(QUOTED).decode(errors="replace").strip()
        return f"{self.file.name} at byte {self.offset}: {text}"


def read(folder: Path) -> Ledger:
    """Read all ledgers of a folder; raise `CannotCheck` if there are none, or for a line that is broken."""
    ledger = Ledger(files=sorted([*folder.glob("*.accepted"), *folder.glob("*.ambiguous")]))
    if not ledger.files:
        raise CannotCheck(f"{folder} holds no ledger: no file *.accepted or *.ambiguous")
    for number, file in enumerate(ledger.files):
        flag = ACCEPTED if file.suffix == ".accepted" else AMBIGUOUS
        for offset, line in _lines(file):
            try:
                _enter(ledger, json.loads(line), flag, number << OFFSET_BITS | offset)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                if line.endswith(b"\n"):
                    raise CannotCheck(f"{file} at byte {offset}: no line of a ledger ({error!r})") from error
                ledger.notes.append(f"{file.name}: its last line is torn and was ignored ({len(line)} bytes)")
    return ledger


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    offset = 0
    with file.open("rb") as lines:
        for line in lines:
            yield offset, line
            offset += len(line)


def _enter(ledger: Ledger, line: Any, flag: int, place: int) -> None:
    match line:
        case {"event": dict(event), **rest} if not rest:
            ledger.add(event, flag, place)
        case {"raw": str(raw), "reason": str(reason), **rest} if not rest:
            ledger.add_raw(binascii.a2b_base64(raw, strict_mode=True), reason, flag, place)
        case _:
            raise ValueError("neither an event nor a raw with its reason")
