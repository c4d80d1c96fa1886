"""What several commands need: the servers they talk to, and how they read dates."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date

from redis import Redis
from sqlalchemy import Engine

from participation import broker, settings
from participation.errors import ConfigError
from participation.store.database import connect

REDIS_TIMEOUT_SECONDS = 10.0


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
