"""Bots, webhooks and others receive no reactions: what becomes known of them when, and what becomes due by it."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy import event as listeners

from participation.accounts import Account
from participation.highlights.compute import compute_day
from participation.notices.presence import Presence
from participation.store import locks
from participation.store.communities import deletion, presence
from participation.store.database import connect, transaction
from participation.store.days import due, non_users
from participation.store.ingest.batches import Counts
from participation.store.members import links, requests
from participation.store.schema import migrate, partitions
from tests.integration.test_days import compute
from tests.rows import event, is_waiting, put
from tests.worker import eventually

NASTY = "back\\slash\ttab\nline"
"""An id with what COPY escapes."""


def reaction(day: int, author: str = "robot", **values: Any) -> dict[str, Any]:
    fields = {"event_type": "REACTION_ADDED", "object_id": f"m{day}", "object_author_id": author}
    return event(occurred_at=f"2026-03-{day}T12:00:00Z", **{**fields, **values})


def message(member_id: str = "robot", **values: Any) -> dict[str, Any]:
    return event(**{"member_id": member_id, "actor_kind": "bot", "occurred_at": "2026-05-01T12:00:00Z", **values})


def known(engine: Engine) -> set[tuple[str, ...]]:
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(text("SELECT * FROM community_non_users"))}


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def received(engine: Engine) -> dict[str, int]:
    """Who received how many reactions, over all days."""
    query = "SELECT member_id, sum(reactions_received) FROM member_daily_highlights GROUP BY 1"
    with engine.connect() as connection:
        return {member: int(count) for member, count in connection.execute(text(query)) if count}


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Collect what is sent to PostgreSQL."""
    sent: list[str] = []

    def collect(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    listeners.listen(engine, "before_cursor_execute", collect)
    try:
        yield sent
    finally:
        listeners.remove(engine, "before_cursor_execute", collect)


@pytest.mark.parametrize("account", ["robot", NASTY])
def test_flush__first_event_of_a_bot_makes_the_days_due_on_which_it_received(engine: Engine, account: str) -> None:
    """A bot leads until its first event is stored. Then exactly its days are due, and later events mark nothing."""
    put(engine, [reaction(10, account), reaction(11, "grace"), reaction(12, account), reaction(13, "grace")])
    compute(engine)
    assert received(engine) == {f"irc:{account}": 2, "irc:grace": 2}
    put(engine, [message(account), message(account, object_id="2", actor_kind="webhook")])
    assert known(engine) == {("c", "irc", account)}
    assert compute(engine) == ["2026-03-10", "2026-03-12"]
    assert received(engine) == {"irc:grace": 2}
    put(engine, [message(account, object_id="3")])
    assert compute(engine) == []


def test_flush__bot_that_is_linked_makes_the_days_of_its_person_due(engine: Engine) -> None:
    """The days hold the person's name, and what other accounts of the person received stays."""
    with transaction(engine) as connection:
        links.link(connection, "Grace", [Account("irc", "robot"), Account("discord", "grace")])
    put(engine, [reaction(10), reaction(10, "grace", platform="discord")])
    compute(engine)
    assert received(engine) == {"Grace": 2}
    put(engine, [message()])
    assert compute(engine) == ["2026-03-10"]
    assert received(engine) == {"Grace": 1}


def test_flush__without_bots_asks_nothing_more(engine: Engine) -> None:
    """A batch of users' events pays nothing; one with known bots pays for one question."""
    put(engine, [message()])
    with statements(engine) as sent:
        put(engine, [reaction(10)])
        put(engine, [reaction(10), reaction(11)])
    assert [each for each in sent if "community_non_users" in each] == []
    with statements(engine) as sent:
        put(engine, [message(object_id="2")])
    assert len([each for each in sent if "community_non_users" in each]) == 1


def test_flush__duplicate_is_stored_and_a_rejected_event_is_not(engine: Engine) -> None:
    """Known is what an event that is stored shows, also one that was stored before by somebody who noted nothing."""
    put(engine, [message()])
    execute(engine, "DELETE FROM community_non_users")
    check = "ALTER TABLE participation_events ADD CONSTRAINT refuses CHECK (member_id <> 'refused') NOT VALID"
    execute(engine, check)
    try:
        assert put(engine, [message(), message("refused"), message("other")]) == Counts(3, 1, 1, 1)
    finally:
        execute(engine, "ALTER TABLE participation_events DROP CONSTRAINT refuses")
    assert known(engine) == {("c", "irc", "robot"), ("c", "irc", "other")}


def test_flush__computation_that_does_not_know_the_bot_is_waited_for(engine: Engine) -> None:
    """It counted the bot; its day is due again when it has ended."""
    put(engine, [reaction(10)])
    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as connection:
            compute_day(connection, "c", date(2026, 3, 10))
            flushing = pool.submit(put, engine, [message()])
            eventually(lambda: is_waiting(engine, locks.COMPUTATIONS))
        assert flushing.result() == Counts(1, 1, 0, 0)
    assert received(engine) == {"irc:robot": 1}
    assert compute(engine) == ["2026-03-10"]
    assert received(engine) == {}


def test_flush__batches_with_the_same_new_bots_at_once(engine: Engine) -> None:
    """Many batches name the same bots in different orders, while days are computed: all are stored."""
    put(engine, [reaction(day, f"bot{day}") for day in range(10, 30)])
    batches = [[message(f"bot{n}", object_id=str(batch)) for n in range(10, 30)] for batch in range(6)]
    for number, batch in enumerate(batches):
        random.Random(number).shuffle(batch)

    def compute_all() -> None:
        for day in range(10, 30):
            with transaction(engine) as connection:
                compute_day(connection, "c", date(2026, 3, day))

    with ThreadPoolExecutor(4) as pool:
        computing = pool.submit(compute_all)
        stored = list(pool.map(lambda batch: put(engine, batch), batches))
        computing.result()
    assert stored == [Counts(20, 20, 0, 0)] * 6
    assert len(known(engine)) == 20
    compute(engine)
    assert received(engine) == {}


def test_compute__finds_bots_that_an_older_worker_stored(engine: Engine) -> None:
    """An older worker notes nothing: the first computation of a day on which the bot did something does."""
    put(engine, [reaction(10), reaction(11), message(occurred_at="2026-03-11T09:00:00Z")])
    execute(engine, "DELETE FROM community_non_users")
    with transaction(engine) as connection:
        compute_day(connection, "c", date(2026, 3, 10))
    assert received(engine) == {"irc:robot": 1}
    with transaction(engine) as connection:
        compute_day(connection, "c", date(2026, 3, 11))
    assert known(engine) == {("c", "irc", "robot")}
    assert compute(engine) == ["2026-03-10"]
    assert received(engine) == {}


def test_maintain__makes_days_due_that_an_older_worker_computed(engine: Engine) -> None:
    """An older worker counts what a known bot received; a person with another account may have received it rightly."""
    with transaction(engine) as connection:
        links.link(connection, "Grace", [Account("irc", "helper"), Account("discord", "grace")])
        links.link(connection, "Machine", [Account("irc", "robot"), Account("irc", "robot2")])
    put(engine, [reaction(10), reaction(11, "grace", platform="discord"), reaction(12, "alone"), reaction(13, "zoe")])
    compute(engine)
    everything = [message("robot"), message("robot2"), message("helper"), message("alone")]
    put(engine, everything)
    execute(engine, "DELETE FROM due_days")
    with transaction(engine) as connection:
        assert non_users.mark_contradicted_days(connection) == 2
    assert compute(engine) == ["2026-03-10", "2026-03-12"]
    assert received(engine) == {"Grace": 1, "irc:zoe": 1}
    with transaction(engine) as connection:
        assert non_users.mark_contradicted_days(connection) == 0


def test_migrate__knows_the_bots_that_are_stored(empty_database: str) -> None:
    """The migration fills the table, and makes the days due on which bots received."""
    engine = connect(empty_database)
    with transaction(engine) as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    partitions.ensure(engine, ["2026-03"])
    values = "'2026-03-10T12:00Z', gen_random_uuid(), 'irc', 'MESSAGE_SENT'"
    columns = "community_id, occurred_at, event_id, platform, event_type, member_id, actor_kind, metadata"
    for community, member, kind in (("c", "robot", "bot"), ("c", "robot", "webhook"), ("c", "ada", "user")):
        row = f"('{community}', {values}, '{member}', '{kind}', '{{}}')"
        execute(engine, f"INSERT INTO participation_events ({columns}) VALUES {row}")
    for day, member, count in ((10, "irc:robot", 1), (11, "irc:ada", 1), (12, "irc:robot", 0)):
        row = f"('c', '2026-03-{day}', '{member}', 0, 0, {count}, 0, 0, 0)"
        execute(engine, f"INSERT INTO member_daily_highlights VALUES {row}")
    assert migrate.migrate(empty_database)[0] == "0003"
    assert known(engine) == {("c", "irc", "robot")}
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT highlight_date FROM due_days")).all() == [date(2026, 3, 10)]
    engine.dispose()


def test_forget__forgets_that_it_was_a_bot_and_export_tells(engine: Engine) -> None:
    """What is kept of an account is told, and goes with its events; other accounts stay known."""
    put(engine, [message(), message(community_id="d"), message("other")])
    robot = Account("irc", "robot")
    lines = [json.loads(line) for line in requests.export(engine, robot)]
    told = [line for line in lines if line["kind"] == "not_user"]
    assert told == [
        {"kind": "not_user", "community_id": name, "platform": "irc", "account_id": "robot"} for name in ("c", "d")
    ]
    requests.forget(engine, robot)
    assert known(engine) == {("c", "irc", "other")}
    put(engine, [message()])
    assert known(engine) == {("c", "irc", "other")}


def test_delete__community_takes_its_bots_along(engine: Engine) -> None:
    """Where a platform's bot was removed, its accounts go; with the last platform the whole community goes."""
    put(engine, [message(), message(platform="discord"), message(community_id="d")])
    removed = datetime(2026, 6, 1, tzinfo=UTC)
    for platform, left in (("irc", {("c", "discord", "robot")}), ("discord", set())):
        with transaction(engine) as connection:
            presence.store_presence(connection, Presence("c", platform, False, removed))
        deletion.delete_due(engine, 0)
        assert known(engine) == {("d", "irc", "robot"), *left}
    with transaction(engine) as connection:
        assert due.list_due(connection) == []
