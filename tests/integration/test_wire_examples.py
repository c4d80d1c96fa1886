"""The messages in `docs/events.md` for clients in other languages: with a real Valkey, a worker and the tables."""

from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from participation import keys
from participation.store.database import connect
from tests.documentation import ROOT, read
from tests.worker import at_rest, eventually, running

PAGE = "docs/events.md"

MESSAGES = [block.text.strip() for block in read(PAGE, (ROOT / PAGE).read_text()) if '"body":' in block.text]


def rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


@pytest.mark.usefixtures("environment")
def test_wire_examples__are_stored(redis: Redis, database: str, tmp_path: Path) -> None:
    """Each message of the page is pushed twice as it stands there. Events, names and presence are stored once."""
    engine = connect(database)
    with running(tmp_path / "worker.log"):
        for _ in range(2):
            redis.lpush(keys.EVENTS, *MESSAGES)
        eventually(lambda: at_rest(redis, engine, 6))
    event = "SELECT event_type, member_id, object_id, metadata FROM participation_events ORDER BY member_id, object_id"
    assert rows(engine, event) == [
        ("REACTION_ADDED", "ada", "m1", {"emoji": "👍"}),
        ("MESSAGE_SENT", "ada", None, {}),
        ("MESSAGE_SENT", "ben", "m2", {}),
    ]
    assert rows(engine, "SELECT community_id, account_id, name FROM account_names") == [("harbour", "ada", "Ada")]
    assert rows(engine, "SELECT space_id, is_present FROM community_bots") == [("irc.example", False)]
    assert rows(engine, "SELECT detail FROM dead_letters") == []
    assert rows(engine, "SELECT sum(duplicates), sum(notices) FROM ingest_batches") == [(3, 4)]
    engine.dispose()


def test_wire_examples__there_is_one_of_each_task() -> None:
    for task in (keys.TRACK_EVENT, keys.NOTE_NAMES, keys.NOTE_PRESENCE):
        assert any(f'"{task}"' in each for each in MESSAGES)
