"""Notices: messages of bots that are not events. There is one kind, the presence of a bot in a community."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from participation import event
from participation.errors import InvalidEvent


class Presence(NamedTuple):
    """The bot of a platform was removed from a community, or is in it again, since `changed_at`."""

    community_id: str
    platform: str
    is_present: bool
    changed_at: datetime


def encode_presence(presence: Presence) -> bytes:
    """Return the notice as the JSON text that is sent."""
    return orjson.dumps({**presence._asdict(), "changed_at": event.format_time(presence.changed_at)})


def decode_presence(value: object) -> Presence:
    """Return the notice in a JSON object with the fields of `Presence`. Raises `InvalidEvent`."""
    if not isinstance(value, Mapping) or set(value) != set(Presence._fields):
        raise InvalidEvent("notice", f"must be one JSON object with the fields {', '.join(Presence._fields)}", value)
    given: Mapping[str, Any] = value
    event.check(community_id=given["community_id"], platform=given["platform"])
    if not isinstance(given["is_present"], bool):
        raise InvalidEvent("is_present", "must be true or false", given["is_present"])
    try:
        return Presence(**{**given, "changed_at": event.parse_time(given["changed_at"])})
    except ValueError as error:
        rule = "must be an RFC 3339 time with an offset, not before 2000 and at most 5 minutes in the future"
        raise InvalidEvent("changed_at", rule, given["changed_at"]) from error
