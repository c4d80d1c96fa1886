"""What several commands need: the servers they talk to, and how they read dates and moments."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta

from redis import Redis
from sqlalchemy import Engine

from participation import broker, settings
from participation.errors import ConfigError
from participation.event import RFC_3339
from participation.store.database import connect

REDIS_TIMEOUT_SECONDS = 10.0

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
"""Units of a duration. No m: it would be minutes to some and months to others, and `purge` deletes."""


@contextmanager
def database() -> Iterator[Engine]:
    """Give the engine of the configured database."""
    configured = settings.load()
    engine = connect(configured.database(), configured.lock_timeout_seconds)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def queue() -> Iterator[Redis]:
    """Give a client of the configured Redis."""
    with broker.connect(settings.load().redis(), REDIS_TIMEOUT_SECONDS) as client:
        yield client


def parse_date(option: str, value: str) -> date:
    """Read a local date as YYYY-MM-DD."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise ConfigError(f"{option}: {value!r} is no date: write it as YYYY-MM-DD, as in 2026-03-29")


def parse_moment(option: str, value: str, now: datetime) -> datetime:
    """Read a moment: RFC 3339, a date (its first moment in UTC), or a duration before `now`, as 24h, 7d or 4w."""
    with suppress(ValueError, OverflowError):
        if ago := re.fullmatch(r"(\d{1,6})([hdw])", value, re.ASCII):
            return now - int(ago[1]) * UNITS[ago[2]]
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
        if RFC_3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    raise ConfigError(
        f"{option}: {value!r} is no moment: write a duration before now as 24h, 7d or 4w, a date as 2026-03-29, or a "
        "moment as 2026-03-29T12:00:00Z"
    )


def parse_word(option: str, value: str | None) -> str | None:
    """Read a code or an id, if one was given: printable text without spaces."""
    if value is None:
        return None
    if not value.isprintable() or not value or " " in value:
        raise ConfigError(f"{option}: {value!r} is none: write it as `participation dead-letters list --json` shows it")
    return value
