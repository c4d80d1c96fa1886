"""Erasing: what a person did, and what a community's bot brought; partition by partition, so that nothing waits long.

There is no index on members, which ingest would pay for: to erase a person reads the whole table. Each partition is a
transaction of its own that marks the days it touches, and a repeat goes on where the one before it failed.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final

from sqlalchemy import Connection, Engine, text

from participation.store import calendar, dead_letters, highlights, partitions
from participation.store.database import transaction
from participation.store.due import Day
from participation.store.persons import Person

LETTERS: Final = 200
"""Dead letters that are looked at in one transaction; each is up to 64 KiB long."""

OnProgress = Callable[[int, int], None]
"""Called after every step with how many steps are done and how many there are."""

ACCOUNTS: Final = """
accounts AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:platforms AS text[]), CAST(:ids AS text[])) AS a (platform, account_id)
)
"""
"""The accounts of a person as a part of a query."""

IS_MEMBER: Final = "(platform, member_id) IN (SELECT * FROM accounts)"
IS_AUTHOR: Final = "(platform, object_author_id) IN (SELECT * FROM accounts)"

# Locked in one order: two members at once, who reacted to each other, would otherwise wait in a circle.
_PERSON: Final = f"""
WITH {ACCOUNTS}, own AS MATERIALIZED (
    SELECT community_id, occurred_at, event_id, event_type, actor_kind, {IS_MEMBER} AS is_member
    FROM {{partition}} WHERE {IS_MEMBER} OR {IS_AUTHOR}
    ORDER BY community_id, occurred_at, event_id
    FOR UPDATE
), gone AS (
    DELETE FROM {{partition}} AS e USING own AS o
    WHERE (e.community_id, e.occurred_at, e.event_id) = (o.community_id, o.occurred_at, o.event_id) AND is_member
    RETURNING 1
), nameless AS (
    UPDATE {{partition}} AS e SET object_author_id = NULL FROM own AS o
    WHERE (e.community_id, e.occurred_at, e.event_id) = (o.community_id, o.occurred_at, o.event_id) AND NOT is_member
    RETURNING 1
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source="own")}
    RETURNING community_id, highlight_date
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM nameless), community_id, highlight_date
FROM (VALUES (1)) AS once LEFT JOIN marked ON true
"""

_COMMUNITY: Final = f"""
WITH gone AS (
    DELETE FROM {{partition}} WHERE community_id = :community_id AND platform = :platform
    RETURNING community_id, occurred_at, event_type, actor_kind
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source="gone")}
)
SELECT count(*) FROM gone
"""

_HIGHLIGHTS = text("""
WITH gone AS (
    DELETE FROM member_daily_highlights WHERE member_id = ANY(CAST(:names AS text[]))
    RETURNING community_id, highlight_date
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) SELECT DISTINCT community_id, highlight_date FROM gone
)
SELECT community_id, highlight_date FROM gone
""")

_UNLINK = text(f"""
WITH {ACCOUNTS}
DELETE FROM member_accounts
WHERE person_id = :person_id OR (platform, account_id) IN (SELECT * FROM accounts)
""")


def person_events(engine: Engine, person: Person, on_progress: OnProgress) -> Iterator[tuple[int, int, set[Day]]]:
    """Delete the person's events, and the person's name in those of others; yield for each partition what that was:

    how many were deleted, in how many the author became null, and the days that became due. Others' flushes go on.
    """
    with transaction(engine) as connection:
        names = partitions.names(connection)
    for done, name in enumerate(names, 1):
        with transaction(engine) as connection:
            calendar.share(connection)
            rows = connection.execute(text(_PERSON.format(partition=name)), person.columns()).all()
        yield rows[0][0], rows[0][1], {Day(*row[2:]) for row in rows if row[2] is not None}
        on_progress(done, len(names))


def person_days(connection: Connection, person: Person) -> set[Day]:
    """Delete the person's rows of computed days, mark those days, and return them. The caller commits.

    Waits for computations that may have read the person's events: none of them may write such a row again.
    """
    highlights.halt(connection)
    return {Day(*row) for row in connection.execute(_HIGHLIGHTS, {"names": person.names})}


def person_links(connection: Connection, person: Person) -> int:
    """Delete which accounts are the person's; return how many were. The caller commits."""
    return connection.execute(_UNLINK, {"person_id": person.person_id, **person.columns()}).rowcount


def community_events(connection: Connection, partition: str, community_id: str, platform: str) -> int:
    """Delete the community's events of a platform from one partition, marking their days.

    The caller shares the calendar, and commits.
    """
    where = {"community_id": community_id, "platform": platform}
    return int(connection.scalar(text(_COMMUNITY.format(partition=partition)), where) or 0)


def letters(engine: Engine, is_wanted: Callable[[bytes], bool]) -> int:
    """Delete the dead letters whose message is wanted so; return how many they were. Looks at every letter."""
    deleted = 0
    for chosen in _looked_at(engine, is_wanted):
        with transaction(engine) as connection:
            deleted += dead_letters.delete(connection, chosen)
    return deleted


def _looked_at(engine: Engine, is_wanted: Callable[[bytes], bool]) -> Iterator[Collection[int]]:
    after = 0
    while True:
        with transaction(engine) as connection:
            found = dead_letters.following(connection, after, LETTERS)
        if not found:
            return
        after = found[-1].id
        if chosen := [letter.id for letter in found if is_wanted(letter.raw)]:
            yield chosen
