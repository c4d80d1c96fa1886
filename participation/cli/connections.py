"""Connections of commands to the servers, and to the community that a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

from participation import redis_client, settings
from participation.cli import output
from participation.store.communities import settings as communities
from participation.store.database import command_engine

if TYPE_CHECKING:
    from redis import Redis
    from sqlalchemy import Connection, Engine

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


def resolve(connection: "Connection", community_id: str) -> str:
    """Return the community that counts the events of this id, and say so if it is another one.

    Raises `ConfigError` if there is no such community.
    """
    found = communities.resolve(connection, community_id)
    if found != community_id:
        typer.echo(f"{output.escape(community_id)} is a part of {output.escape(found)}", err=True)
    return found
