"""The bot is removed from a community: what it brought is deleted in time, unless it comes back."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from redis import Redis
from sqlalchemy import Connection, Engine, text

from participation import accounts, keys, message
from participation.app import app
from participation.errors import InvalidEvent
from participation.highlights.compute import compute_day
from participation.ingest.flush import store_elements
from participation.notices import presence as notice
from participation.notices.presence import Presence
from participation.store import locks
from participation.store.communities import deletion, presence
from participation.store.communities.deletion import Deletion
from participation.store.database import connect, transaction
from participation.store.days import due
from participation.store.ingest.batches import Counts
from participation.store.members import links
from tests.rows import event, is_waiting, put, stopped
from tests.worker import eventually, running

NOW = datetime.now(UTC)
REMOVED = NOW - timedelta(days=40)


def rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def note(engine: Engine, *notices: tuple[bool, datetime], platform: str = "irc") -> None:
    for is_present, changed_at in notices:
        with transaction(engine) as connection:
            presence.store_presence(connection, Presence("c", platform, is_present, changed_at))


def compute(engine: Engine) -> None:
    with transaction(engine) as connection:
        days = due.list_due(connection)
    for day in days:
        with transaction(engine) as connection:
            compute_day(connection, *day)


def fill(engine: Engine, *platforms: str) -> None:
    """Give two communities events in two months, dead letters and computed days."""
    moments = [(REMOVED - timedelta(days=days)).isoformat() for days in (1, 60)]
    events = [
        event(platform=platform, occurred_at=moment, community_id=community)
        for platform in platforms
        for moment in moments
        for community in ("c", "other")
    ]
    put(engine, events)
    store_elements(engine, uuid4().hex, [message.encode({**each, "event_type": "SANG"}) for each in events])
    compute(engine)


def left(engine: Engine, community_id: str) -> dict[str, int]:
    """Count what is left of a community, by table."""
    tables = (
        "participation_events",
        "member_daily_highlights",
        "community_daily_highlights",
        "due_days",
        "communities",
    )
    counts = {t: rows(engine, f"SELECT count(*) FROM {t} WHERE community_id = '{community_id}'")[0][0] for t in tables}
    letters = [message.decode(bytes(raw)).argument for (raw,) in rows(engine, "SELECT raw FROM dead_letters")]
    return {**counts, "dead_letters": sum(each["community_id"] == community_id for each in letters)}  # type: ignore


def test_delete__nothing_is_left_after_the_period(engine: Engine) -> None:
    """Events of every month, highlights, marks, dead letters and the community go; another community does not."""
    fill(engine, "irc")
    other = left(engine, "other")
    note(engine, (False, REMOVED))
    assert deletion.delete_due(engine, 41) == []
    assert left(engine, "c") == other
    assert deletion.delete_due(engine, 40 - 1) == [Deletion("c", "irc", 2, True)]
    assert set(left(engine, "c").values()) == {0}
    assert left(engine, "other") == other
    assert rows(engine, "SELECT * FROM community_bots") == []
    assert deletion.delete_due(engine, 0) == []
    assert put(engine, [event()]) == Counts(1, 1, 0, 0)


@pytest.mark.parametrize(
    "order",
    list(permutations([(False, REMOVED), (True, REMOVED + timedelta(hours=1)), (False, REMOVED - timedelta(days=9))])),
)
def test_delete__return_cancels_in_whatever_order_it_is_told(
    engine: Engine, order: Sequence[tuple[bool, datetime]]
) -> None:
    """The latest notice holds, not the last one that arrived; the same one twice is one."""
    fill(engine, "irc")
    note(engine, *order, *order)
    assert deletion.delete_due(engine, 0) == []
    assert left(engine, "c")["participation_events"] == 2
    note(engine, (False, REMOVED + timedelta(hours=2)))
    assert deletion.delete_due(engine, 0) == [Deletion("c", "irc", 2, True)]


def test_delete__sign_of_life_cancels(engine: Engine) -> None:
    """Somebody brings events of this platform: not a moment after the removal, when clocks may differ, but later."""
    fill(engine, "irc")
    note(engine, (False, REMOVED))
    put(engine, [event(occurred_at=(REMOVED + timedelta(minutes=4)).isoformat(), platform="irc")])
    put(engine, [event(occurred_at=(REMOVED + timedelta(days=1)).isoformat(), platform="discord")])
    with transaction(engine) as connection:
        assert [each.platform for each in presence.pending_removals(connection, 1)] == ["irc"]
    put(engine, [event(occurred_at=(REMOVED + timedelta(minutes=6)).isoformat(), platform="irc")])
    with transaction(engine) as connection:
        assert presence.pending_removals(connection, 1) == []
    assert deletion.delete_due(engine, 1) == []


def test_delete__other_platform_stays_and_its_days_are_computed_without(engine: Engine) -> None:
    """Only what came from the platform goes; the days are due, and hold what the others did."""
    fill(engine, "irc", "discord")
    with transaction(engine) as connection:
        links.link(connection, "ada", [accounts.Account("irc", "ada")])
    compute(engine)
    note(engine, (False, REMOVED))
    assert deletion.delete_due(engine, 30) == [Deletion("c", "irc", 2, False)]
    assert rows(engine, "SELECT DISTINCT platform FROM participation_events WHERE community_id = 'c'") == [("discord",)]
    assert left(engine, "c")["dead_letters"] == 2
    compute(engine)
    assert rows(engine, "SELECT DISTINCT member_id FROM member_daily_highlights WHERE community_id = 'c'") == [
        ("discord:ada",)
    ]
    assert left(engine, "c")["community_daily_highlights"] == 2
    assert rows(engine, "SELECT person_id FROM member_accounts") == [("ada",)]


def test_delete__return_while_it_runs_stops_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that comes back in the middle keeps what is not deleted yet."""
    fill(engine, "irc")
    note(engine, (False, REMOVED))
    share = locks.share_time_zones

    def come_back(connection: Connection) -> None:
        share(connection)
        if left(engine, "c")["participation_events"] == 1:
            note(engine, (True, NOW))

    monkeypatch.setattr(locks, "share_time_zones", come_back)
    assert deletion.delete_due(engine, 0) == []
    assert left(engine, "c")["participation_events"] == 1
    assert left(engine, "c")["communities"] == 1


def test_delete__flush_that_is_under_way_keeps_its_community(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another platform's first events in the community are on their way: it does not go from under them."""
    fill(engine, "irc")
    note(engine, (False, REMOVED))
    with ThreadPoolExecutor(2) as pool:
        with stopped("after_copy", tmp_path / "marker", monkeypatch) as wait:
            flushing = pool.submit(put, engine, [event(platform="discord")])
            wait()
            deleting = pool.submit(deletion.delete_due, engine, 0)
            eventually(lambda: is_waiting(engine, locks.TIME_ZONES))
        assert flushing.result() == Counts(1, 1, 0, 0)
        assert deleting.result() == [Deletion("c", "irc", 2, False)]
    assert left(engine, "c")["communities"] == 1


def test_delete__twice_at_once(engine: Engine) -> None:
    """Two workers that maintain at the same time do not disturb each other."""
    fill(engine, "irc", "discord")
    note(engine, (False, REMOVED))
    note(engine, (False, REMOVED), platform="discord")
    with ThreadPoolExecutor(4) as pool:
        deleted = [each for found in pool.map(lambda _: deletion.delete_due(engine, 0), range(4)) for each in found]
    assert sorted({each.platform for each in deleted}) == ["discord", "irc"]
    assert set(left(engine, "c").values()) == {0}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "notice: must be one JSON object with the fields community_id, platform, is_present, changed_at"),
        ({"community_id": "c"}, "notice: must be one JSON object"),
        ({"community_id": ""}, "community_id: must be"),
        ({"platform": "I R C"}, "platform: must be"),
        ({"is_present": 0}, "is_present: must be true or false"),
        ({"changed_at": "yesterday"}, "changed_at: must be"),
        ({"changed_at": "2026-03-10T12:00:00"}, "changed_at: must be"),
        ({"changed_at": (NOW + timedelta(hours=1)).isoformat()}, "changed_at: must be"),
        ({"more": 1}, "notice: must be one JSON object"),
    ],
)
def test_read__says_what_is_wrong(value: dict[str, Any] | None, says: str) -> None:
    """A notice that breaks a rule is refused by name: one from the future would silence all that follow."""
    right = {"community_id": "c", "platform": "irc", "is_present": False, "changed_at": "2026-03-10T12:00:00Z"}
    assert notice.decode(right) == Presence("c", "irc", False, datetime(2026, 3, 10, 12, tzinfo=UTC))
    given = {**right, **value} if value and value != {"community_id": "c"} else value
    with pytest.raises(InvalidEvent, match=says):
        notice.decode(given)


@pytest.mark.usefixtures("environment")
def test_worker__notes_presence_and_deletes_what_is_due(
    database: str, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notices go through a real worker: a wrong one is a line in its log; the hourly task deletes after the period."""
    monkeypatch.setenv("PARTICIPATION_DELETION_GRACE_DAYS", "0")
    engine = connect(database)
    fill(engine, "irc")
    right = {"community_id": "c", "platform": "irc", "is_present": False, "changed_at": REMOVED.isoformat()}
    wrong = [b"null", b"7", b"{}", orjson.dumps({**right, "is_present": "no"})]
    redis.lpush(keys.NIGHTLY, *map(partial(message.encode_call, keys.NOTE_PRESENCE), [*wrong, orjson.dumps(right)]))
    log = tmp_path / "worker.log"
    with running(log) as process:
        eventually(lambda: rows(engine, "SELECT is_present FROM community_bots") == [(False,)])
        app.send_task("participation.maintain")
        eventually(lambda: b"community_deleted" in log.read_bytes())
        assert process.poll() is None
    said = log.read_text()
    assert said.count("presence_refused detail=") == len(wrong)
    assert "is_present: must be true or false" in said
    assert "Traceback" not in said
    assert set(left(engine, "c").values()) == {0}
    assert left(engine, "other")["participation_events"] == 2
    engine.dispose()
