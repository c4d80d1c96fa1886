"""The notice that a bot was removed from a space, or is in it again. A space is one guild, chat or workspace."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from participation import event
from participation.errors import InvalidEvent


class Presence(NamedTuple):
    """The bot of a platform was removed from a space of a community, or is in it again, since `changed_at`.

    space_id: the platform's id of the guild or chat. None if the bot does not tell it, as older versions do not.
    """

    community_id: str
    platform: str
    is_present: bool
    changed_at: datetime
    space_id: str | None = None


_OPTIONAL: Final = {"space_id"}


def encode(presence: Presence) -> bytes:
    """Return the notice as the JSON text that is sent."""
    given = {name: value for name, value in presence._asdict().items() if value is not None}
    return orjson.dumps({**given, "changed_at": event.format_time(presence.changed_at)})


def decode(value: object) -> Presence:
    """Return the notice in a JSON object with the fields of `Presence`. Raises `InvalidEvent`."""
    try:
        return _decode(value)
    except InvalidEvent as error:
        error.code = "invalid_notice"
        raise


def _decode(value: object) -> Presence:
    if not isinstance(value, Mapping) or set(value) | _OPTIONAL != set(Presence._fields):
        fields = ", ".join(name for name in Presence._fields if name not in _OPTIONAL)
        raise InvalidEvent(
            "notice", f"must be one JSON object with the fields {fields}, and optionally space_id", value
        )
    given: Mapping[str, Any] = value
    event.check(community_id=given["community_id"], platform=given["platform"])
    if given.get("space_id") is not None:
        _check_space(given["space_id"])
    if not isinstance(given["is_present"], bool):
        raise InvalidEvent("is_present", "must be true or false", given["is_present"])
    try:
        return Presence(**{**given, "changed_at": event.parse_time(given["changed_at"])})
    except ValueError as error:
        rule = "must be an RFC 3339 time with an offset, not before 2000 and at most 5 minutes in the future"
        raise InvalidEvent("changed_at", rule, given["changed_at"]) from error


def _check_space(value: object) -> None:
    try:
        event.check(channel_id=value)  # type: ignore[arg-type] # the same rule, whatever the type
    except InvalidEvent as error:
        raise InvalidEvent("space_id", error.rule, value) from error
