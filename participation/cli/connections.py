"""The servers that commands talk to."""

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
    """Give the engine of the configured database."""
    engine = command_engine(settings.load())
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def redis() -> "Iterator[Redis]":
    """Give a client of the configured Redis."""
    with redis_client.connect(settings.load().redis(), REDIS_TIMEOUT_SECONDS) as client:
        yield client
