"""Finds the accounts that a dead letter mentions: in an event that breaks a rule, or in an unreadable message.

The functions take messages as they were received. They validate nothing and raise no errors, because a dead letter can
contain anything.
"""

import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from participation import compression, event, keys, message, platforms
from participation.accounts import Account
from participation.errors import InvalidEvent

LONG_ID: Final = 8
"""Minimum length of a long id. A long id counts as mentioned if it is a word anywhere, also outside of JSON."""

DEPTH: Final = 4
"""Number of layers that are unpacked. A layer is base64, compression, or JSON within a JSON string."""

_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/_-]|\\/|\\[nr]|[\r\n]){16,}")
_NO_BASE64: Final = re.compile(rb"\\[nr]|[\r\n]|\\(?=/)")
_ESCAPED: Final = re.compile(rb"\\([\"'/\\])")
_SHORT_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


class Mentions(NamedTuple):
    """The community, the accounts (the member first) and the time of an event, as far as they can be read.

    channels: its channel and those above it, as `platforms.channel_ids`. The platform is empty if it cannot be read.
    """

    community_id: str | None
    accounts: tuple[Account, ...]
    occurred_at: datetime | None
    channels: tuple[str, ...] = ()


NO_MENTIONS: Final = Mentions(None, (), None)


def find_mentions(payload: object) -> Mentions:
    """Read the community, the accounts and the time of an event, even if other parts of it are wrong."""
    if not isinstance(payload, dict):
        return NO_MENTIONS
    platform = payload.get("platform")
    slug = platform.strip().lower() if isinstance(platform, str) else ""
    ids = [_id(payload.get(name)) for name in ("member_id", "object_author_id")]
    occurred_at = None
    with suppress(ValueError):
        occurred_at = event.parse_time(payload.get("occurred_at"))
    community_id = payload.get("community_id")
    return Mentions(
        # PostgreSQL stores no NUL, so no community has such an id.
        community_id if isinstance(community_id, str) and "\0" not in community_id else None,
        tuple(Account(slug, each) for each in ids if each),
        occurred_at,
        tuple(_channels(payload, slug)),
    )


def _channels(payload: dict[str, Any], slug: str) -> list[str]:
    metadata = payload.get("metadata")
    platform = slug if _is_slug(Account(slug, "")) else ""
    found = metadata if isinstance(metadata, dict) else {}
    return platforms.channel_ids(platform, payload.get("channel_id"), found, payload.get("event_type"))


def find_name_mentions(entry: object) -> Mentions:
    """Read the community, the account and the time of a name, even if other parts of it are wrong."""
    if not isinstance(entry, dict):
        return NO_MENTIONS
    is_account = entry.get("kind") not in ("channel", "space")
    is_channel = entry.get("kind") not in ("account", "space")
    fields = {
        "member_id": entry.get("id") if is_account else None,
        "channel_id": entry.get("id") if is_channel else None,
        "metadata": {name: entry.get(name) for name in ("parent_id", "category_id")},
        "occurred_at": entry.get("seen_at"),
    }
    return find_mentions({"platform": entry.get("platform"), "community_id": entry.get("community_id"), **fields})


def read_event(raw: bytes) -> dict[str, Any] | None:
    """Return the event in a message, or None if the message has no event or the event has no member."""
    try:
        found = message.decode(raw)
    except InvalidEvent:
        return None
    payload = found.argument if found.task == keys.TRACK_EVENT else None
    return payload if isinstance(payload, dict) and _id(payload.get("member_id")) else None


def mentions_any(raw: bytes, accounts: frozenset[Account]) -> bool:
    """Return whether the message's event names one of the accounts.

    If the message has no event: whether it contains one of the ids, as a whole JSON string or number. A long id may
    also be a word in any other data.
    """
    if (payload := read_event(raw)) is not None:
        return any(_is_named(payload, account) for account in accounts)
    ids = {account_id for _, account_id in accounts}
    layers = {
        distinctive: list(_layers(raw if distinctive else _content(raw), DEPTH))
        for distinctive in map(_is_distinctive, ids)
    }
    return any(_pattern(each).search(layer) for each in ids for layer in layers[_is_distinctive(each)])


def is_in_community(raw: bytes, community_id: str, platform: str | None, before: datetime | None = None) -> bool:
    """Return whether the message is about this community, and this platform unless it is None.

    before: only what occurred before this time, or has no readable time.
    """
    try:
        argument = message.decode(raw).argument
    except InvalidEvent:
        return False
    return any(
        each.get("community_id") == community_id
        and platform in (None, each.get("platform"))
        and (before is None or _is_before(each, before))
        for each in (argument if isinstance(argument, list) else [argument])
        if isinstance(each, dict)
    )


def _is_before(payload: dict[str, Any], limit: datetime) -> bool:
    try:
        return event.parse_time(payload.get("occurred_at") or payload.get("seen_at")) < limit
    except ValueError:
        return True


def _id(value: object) -> str:
    """Return the id, even if it was wrongly sent as a number, or an empty string if there is none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _is_named(payload: dict[str, Any], account: Account) -> bool:
    # If the platform is the broken field, the id alone decides. Unknown fields can contain anything.
    found = find_mentions(payload)
    if any(
        each == account or (each.account_id == account.account_id and not _is_slug(each)) for each in found.accounts
    ):
        return True
    id_fields = ("member_id", "object_author_id")
    rest = {
        name: value
        for name, value in payload.items()
        if name not in event.Event.model_fields or (name in id_fields and not _id(value))
    }
    return bool(rest) and bool(_pattern(account.account_id).search(_dumps(rest)))


def _is_slug(account: Account) -> bool:
    try:
        event.check(platform=account.platform)
    except InvalidEvent:
        return False
    return True


def _is_distinctive(account_id: str) -> bool:
    """Return whether the id is long and has digits, so that it cannot be an ordinary word in a message."""
    return len(account_id) >= LONG_ID and any(map(str.isdigit, account_id))


def _content(raw: bytes) -> bytes:
    """Return the body and the shown arguments of a message, or all of the data if it is not a message."""
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
    except TypeError:  # too deep for orjson
        return repr(value).encode("utf-8", "backslashreplace")


def _layers(data: bytes, depth: int) -> Iterator[bytes]:
    """Yield the data and everything that can be unpacked from it, even if the data is cut off."""
    yield data
    if not depth:
        return
    for inner in (*_decoded(data), *_decompressed(data)):
        yield from _layers(inner, depth - 1)
    if (unescaped := _ESCAPED.sub(rb"\1", data)) != data:
        yield from _layers(unescaped, depth - 1)


def _decoded(data: bytes) -> Iterator[bytes]:
    for run in _BASE64.findall(data):
        letters = _NO_BASE64.sub(b"", run).replace(b"-", b"+").replace(b"_", b"/")
        # A single remaining letter cannot be decoded: the rest is cut off, or this is not base64.
        whole = letters[: len(letters) - (len(letters) % 4 == 1)]
        with suppress(binascii.Error):
            yield binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _decompressed(data: bytes) -> Iterator[bytes]:
    for codec in compression.CODECS:
        if data.startswith(codec.starts):
            with suppress(*compression.ERRORS):
                yield codec.decompressor().decompress(data, compression.UNPACKED_BYTES)


@lru_cache(maxsize=64)
def _pattern(account_id: str) -> re.Pattern[bytes]:
    """Return a pattern that finds the id as a whole JSON value, however JSON escapes it, but not as a key."""
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
