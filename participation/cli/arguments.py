"""Dates, times and words in the arguments of commands."""

import json
import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Final

from participation.errors import ConfigError
from participation.event import RFC_3339, short
from participation.limits import NAME_CHARACTERS, is_name

UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
"""Units of a duration. There is no m: it could mean minutes or months, and `purge` deletes data."""


def parse_date(option: str, value: str) -> date:
    """Read a local date, written as YYYY-MM-DD."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise ConfigError(f"{option}: {value!r} is not a date: write it as YYYY-MM-DD, for example 2026-03-29")


def parse_moment(option: str, value: str, now: datetime) -> datetime:
    """Read a time: RFC 3339, a date (its first moment in UTC), or a duration before `now`, such as 24h, 7d or 4w."""
    with suppress(ValueError, OverflowError):
        if ago := re.fullmatch(r"(\d{1,6})([hdw])", value, re.ASCII):
            return now - int(ago[1]) * UNITS[ago[2]]
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
        if RFC_3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    raise ConfigError(
        f"{option}: {value!r} is not a time: write a duration before now such as 24h, 7d or 4w, a date such as "
        "2026-03-29, or a time such as 2026-03-29T12:00:00Z"
    )


def parse_json(option: str, value: str) -> object:
    """Read JSON. NaN is read as a number, so that the rule of its field refuses it."""
    try:
        return json.loads(value)
    except ValueError as error:
        raise ConfigError(f"{option}: {short(value)} is not JSON: {error}") from error


def parse_name(option: str, value: str) -> str:
    """Read the name of a community or a person."""
    if not is_name(value):
        raise ConfigError(
            f"{option}: {short(value)} is not a name: use 1–{NAME_CHARACTERS} characters on one line, not only spaces, "
            "and no characters that control the text or change its direction"
        )
    return value


def parse_word(option: str, value: str | None) -> str | None:
    """Read a code or an id, if one was given: printable text without spaces."""
    if value is None:
        return None
    if not value.isprintable() or not value or " " in value:
        raise ConfigError(
            f"{option}: {value!r} is not valid: write it as `participation dead-letters list --json` shows it"
        )
    return value
