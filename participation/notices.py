"""The wire contract of notices: what bots say besides events. Today one kind, the presence of a bot in a community."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from participation import event
from participation.errors import InvalidEvent


class Presence(NamedTuple):
    """The bot of a platform was removed from a community, or is there again, at this moment."""

    community_id: str
    platform: str
    is_present: bool
    changed_at: datetime


def encode_presence(presence: Presence) -> bytes:
    """Write the notice as the JSON object that travels."""
    return orjson.dumps({**presence._asdict(), "changed_at": event.format_time(presence.changed_at)})


def decode_presence(value: object) -> Presence:
    """Read a notice: a JSON object with the fields of `Presence`. Raises `InvalidEvent`, which names what is wrong."""
    if not isinstance(value, Mapping) or set(value) != set(Presence._fields):
        raise InvalidEvent("notice", f"must be one JSON object of {', '.join(Presence._fields)}", value)
    given: Mapping[str, Any] = value
    event.check(community_id=given["community_id"], platform=given["platform"])
    if not isinstance(given["is_present"], bool):
        raise InvalidEvent("is_present", "must be true or false", given["is_present"])
    try:
        return Presence(**{**given, "changed_at": event.parse_time(given["changed_at"])})
    except ValueError as error:
        rule = "must be an RFC 3339 time with an offset, not before 2000 and at most 5 minutes ahead of the clock"
        raise InvalidEvent("changed_at", rule, given["changed_at"]) from error
