"""What the tests put into the tables and read from them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from participation import message
from participation.ingest.flush import store_elements
from participation.store.ingest.batches import Counts
from tests import failpoints, reference
from tests.worker import eventually

Event = Mapping[str, Any]


def event(**values: Any) -> dict[str, Any]:
    """Return a valid event: a message in the community `c` on irc, with `values` laid over it."""
    return {
        "event_type": "MESSAGE_SENT",
        "platform": "irc",
        "community_id": "c",
        "member_id": "ada",
        "occurred_at": "2026-03-10T12:00:00Z",
        **values,
    }


def put(engine: Engine, events: Iterable[Event]) -> Counts | None:
    """Store the events as one batch, as a worker does."""
    return store_elements(engine, uuid4().hex, [message.encode(item) for item in events])


@contextmanager
def stopped(point: str, marker: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Let the first flush of this process stop at the point; give what waits until it is there."""
    with monkeypatch.context() as patch:
        patch.setenv(failpoints.VARIABLE, f"{point}={marker}")
        try:
            yield lambda: eventually(lambda: marker.exists() and marker.stat().st_size > 0)
        finally:
            marker.write_text("")


def is_waiting(engine: Engine, lock: int) -> bool:
    """Whether somebody waits for this advisory lock."""
    statement = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = :lock AND NOT granted)"
    with engine.connect() as connection:
        return bool(connection.scalar(text(statement), {"lock": lock}))


def highlights(
    connection: Connection, community_id: str, day: date
) -> tuple[dict[str, reference.MemberRow], reference.CommunityRow | None]:
    """Read a computed day in the shape of the reference."""
    key = {"community_id": community_id, "day": day}
    where = "WHERE community_id = :community_id AND highlight_date = :day"
    member_columns = ", ".join(field.name for field in fields(reference.MemberRow))
    community_columns = ", ".join(field.name for field in fields(reference.CommunityRow))
    rows = connection.execute(text(f"SELECT member_id, {member_columns} FROM member_daily_highlights {where}"), key)
    people = {row[0]: reference.MemberRow(*row[1:]) for row in rows}
    row = connection.execute(
        text(f"SELECT {community_columns} FROM community_daily_highlights {where}"), key
    ).one_or_none()
    return people, None if row is None else reference.CommunityRow(*row)


def channels(connection: Connection, community_id: str, day: date) -> dict[tuple[str, str], reference.ChannelRow]:
    """Read the channels of a computed day in the shape of the reference."""
    names = ", ".join(field.name for field in fields(reference.ChannelRow))
    where = "WHERE community_id = :id AND highlight_date = :day"
    query = text(f"SELECT platform, channel_id, {names} FROM channel_daily_highlights {where}")
    found = connection.execute(query, {"id": community_id, "day": day})
    return {(row[0], row[1]): reference.ChannelRow(*row[2:]) for row in found}
