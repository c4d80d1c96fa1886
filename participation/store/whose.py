"""Whose an event is that broke a rule, and whether a message from which no event can be read speaks of somebody.

Dead letters come in, as they were received; answers about accounts go out. Nothing here is validated, and nothing may
fail: what stands in a dead letter can be anything.
"""

import binascii
import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import orjson

from participation import event, message
from participation.errors import InvalidEvent
from participation.store.members import Account

LONG_ID: Final = 8
"""Characters from which on an id is taken for itself wherever it stands as a word, also outside of JSON."""

DEPTH: Final = 4
"""How often something is unpacked out of something else."""

_COMPRESSED: Final[Mapping[bytes, Callable[[], message.Decompressor]]] = {
    b"\x78": zlib.decompressobj,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": partial(lzma.LZMADecompressor, memlimit=message.LZMA_BYTES),
    b"\x5d\x00\x00": partial(lzma.LZMADecompressor, memlimit=message.LZMA_BYTES),
}

_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/_-]|\\/|\\[nr]|[\r\n]){16,}")
_NO_BASE64: Final = re.compile(rb"\\[nr]|[\r\n]|\\(?=/)")
_ESCAPED: Final = re.compile(rb"\\([\"'/\\])")
_SHORT_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


class Named(NamedTuple):
    """The accounts that an event names, its member first, and when it occurred, as far as they can be read."""

    accounts: tuple[Account, ...]
    occurred_at: datetime | None


NOBODY: Final = Named((), None)


def named(payload: object) -> Named:
    """Read what the event says of accounts, however wrong it is otherwise."""
    if not isinstance(payload, dict):
        return NOBODY
    platform = payload.get("platform")
    slug = platform.strip().lower() if isinstance(platform, str) else ""
    ids = [_id(payload.get(name)) for name in ("member_id", "object_author_id")]
    occurred_at = None
    with suppress(ValueError):
        occurred_at = event.instant(payload.get("occurred_at"))
    return Named(tuple(Account(slug, each) for each in ids if each), occurred_at)


def read(raw: bytes) -> dict[str, Any] | None:
    """Return the event in a message if it names its member, else None."""
    try:
        payload = message.decode(raw).event
    except InvalidEvent:
        return None
    return payload if isinstance(payload, dict) and _id(payload.get("member_id")) else None


def concerns(raw: bytes, accounts: frozenset[Account]) -> bool:
    """Whether a message is about one of the accounts: its event names it, or it has no event and holds the id.

    The id must be a whole JSON string or number then; a long one may stand as a word in anything else.
    """
    if (payload := read(raw)) is not None:
        return any(_is_named(payload, account) for account in accounts)
    ids = {account_id for _, account_id in accounts}
    layers = {telling: list(_layers(raw if telling else _content(raw), DEPTH)) for telling in map(_is_telling, ids)}
    return any(_pattern(each).search(layer) for each in ids for layer in layers[_is_telling(each)])


def is_of(raw: bytes, community_id: str, platform: str | None) -> bool:
    """Whether the message holds an event of this community, and of this platform if one is given."""
    try:
        payload = message.decode(raw).event
    except InvalidEvent:
        return False
    if not isinstance(payload, dict) or payload.get("community_id") != community_id:
        return False
    return platform is None or payload.get("platform") == platform


def _id(value: object) -> str:
    """Return an id, also one that was wrongly sent as a number; empty for what is none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _is_named(payload: dict[str, Any], account: Account) -> bool:
    # What a platform is called may be what is wrong with the event; fields that do not exist may hold anything.
    found = named(payload)
    if any(
        each == account or (each.account_id == account.account_id and not _is_slug(each)) for each in found.accounts
    ):
        return True
    odd = ("member_id", "object_author_id")
    rest = {
        name: value
        for name, value in payload.items()
        if name not in event.Event.model_fields or (name in odd and not _id(value))
    }
    return bool(rest) and bool(_pattern(account.account_id).search(_dumps(rest)))


def _is_slug(account: Account) -> bool:
    try:
        event.check(platform=account.platform)
    except InvalidEvent:
        return False
    return True


def _is_telling(account_id: str) -> bool:
    """Whether the id cannot be a word that stands in every message."""
    return len(account_id) >= LONG_ID and any(map(str.isdigit, account_id))


def _content(raw: bytes) -> bytes:
    """Return what a message has to say; whole, if it is none: an envelope's own words are nobody's ids."""
    with suppress(orjson.JSONDecodeError):
        envelope = orjson.loads(raw)
        if isinstance(envelope, dict) and "body" in envelope:
            headers = envelope.get("headers")
            shown = [headers.get(name) for name in ("argsrepr", "kwargsrepr")] if isinstance(headers, dict) else []
            return _dumps([envelope["body"], *shown])
    return raw


def _dumps(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # deeper than it can write
        return repr(value).encode("utf-8", "backslashreplace")


def _layers(data: bytes, depth: int) -> Iterator[bytes]:
    """Yield the data, and what is in it: base64, compressed, or JSON within a JSON string; also if it is cut off."""
    yield data
    if not depth:
        return
    for inner in (*_decoded(data), *_decompressed(data)):
        yield from _layers(inner, depth - 1)
    if (plain := _ESCAPED.sub(rb"\1", data)) != data:
        yield from _layers(plain, depth - 1)


def _decoded(data: bytes) -> Iterator[bytes]:
    for run in _BASE64.findall(data):
        letters = _NO_BASE64.sub(b"", run).replace(b"-", b"+").replace(b"_", b"/")
        # A single letter over is what was cut off, or it is no base64.
        whole = letters[: len(letters) - (len(letters) % 4 == 1)]
        with suppress(binascii.Error):
            yield binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _decompressed(data: bytes) -> Iterator[bytes]:
    for start, decompressor in _COMPRESSED.items():
        if data.startswith(start):
            with suppress(zlib.error, OSError, lzma.LZMAError):
                yield decompressor().decompress(data, message.UNPACKED_BYTES)


@lru_cache(maxsize=64)
def _pattern(account_id: str) -> re.Pattern[bytes]:
    """Return what finds the id as a whole JSON value, however JSON writes its characters; never as a key."""
    spelled = b"".join(map(_spelled, account_id))
    forms = [rb"([\"'])" + spelled + rb"\1(?!\s*:)"]
    if re.fullmatch(r"-?\d+", account_id, re.ASCII):
        forms.append(rb"(?i:id)[\"']\s*:\s*" + re.escape(account_id.encode()) + rb"(?![\w.])")
    if len(account_id) >= LONG_ID:
        forms.append(rb"(?<![0-9A-Za-z_])" + spelled + rb"(?![0-9A-Za-z_])")
    return re.compile(b"|".join(forms))


def _spelled(character: str) -> bytes:
    units = character.encode("utf-16-be")
    codes = b"".join(rb"\\u(?i:%02x%02x)" % (high, low) for high, low in zip(units[::2], units[1::2], strict=True))
    forms = [re.escape(character.encode()), codes]
    if short := _SHORT_ESCAPES.get(character):
        forms.append(re.escape(f"\\{short}".encode()))
    return b"(?:" + b"|".join(forms) + b")"
