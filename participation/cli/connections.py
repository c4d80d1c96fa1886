"""Connections of commands to the servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from participation import redis_client, settings
from participation.store.database import command_engine

if TYPE_CHECKING:
    from redis import Redis
    from sqlalchemy import Engine

REDIS_TIMEOUT_SECONDS: Final = 10.0


@contextmanager
def database() -> "Iterator[Engine]":
    """Open an engine for the configured database, and dispose of it at the end."""
    engine = command_engine(settings.load())
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def redis() -> "Iterator[Redis]":
    """Connect to the configured Redis, and disconnect at the end."""
    with redis_client.connect(settings.load().redis(), REDIS_TIMEOUT_SECONDS) as client:
        yield client
