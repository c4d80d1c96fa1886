"""Erases a person, partition by partition, so that other transactions do not wait long.

Erasing reads the whole table of events: there is no index on members, because it would slow ingest down. Each partition
is a transaction of its own, which marks the affected days. Running it again continues where it failed.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, text

from participation.store import locks
from participation.store.database import transaction
from participation.store.days import calendar
from participation.store.days.due import Day
from participation.store.members.persons import Person
from participation.store.schema import partitions

OnProgress = Callable[[int, int], None]
"""Called after every step with the number of steps that are done, and the number of all steps."""

ACCOUNTS: Final = """
accounts AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:platforms AS text[]), CAST(:ids AS text[])) AS a (platform, account_id)
)
"""
"""The accounts of a person, as a part of a query."""

IS_MEMBER: Final = "(platform, member_id) IN (SELECT * FROM accounts)"
IS_AUTHOR: Final = "(platform, object_author_id) IN (SELECT * FROM accounts)"

# Rows are locked in one order. Otherwise erasing two members who reacted to each other could deadlock.
_DELETE_PERSON_EVENTS: Final = f"""
WITH {ACCOUNTS}, own AS MATERIALIZED (
    SELECT community_id, occurred_at, event_id, event_type, actor_kind, {IS_MEMBER} AS is_member
    FROM {{partition}} WHERE {IS_MEMBER} OR {IS_AUTHOR}
    ORDER BY community_id, occurred_at, event_id
    FOR UPDATE
), deleted AS (
    DELETE FROM {{partition}} AS e USING own AS o
    WHERE (e.community_id, e.occurred_at, e.event_id) = (o.community_id, o.occurred_at, o.event_id) AND is_member
    RETURNING 1
), without_author AS (
    UPDATE {{partition}} AS e SET object_author_id = NULL FROM own AS o
    WHERE (e.community_id, e.occurred_at, e.event_id) = (o.community_id, o.occurred_at, o.event_id) AND NOT is_member
    RETURNING 1
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) {calendar.TOUCHED_DAYS.format(source="own")}
    RETURNING community_id, highlight_date
)
SELECT (SELECT count(*) FROM deleted), (SELECT count(*) FROM without_author), community_id, highlight_date
FROM (VALUES (1)) AS once LEFT JOIN marked ON true
"""

_DELETE_PERSON_DAYS = text("""
WITH gone AS (
    DELETE FROM member_daily_highlights WHERE member_id = ANY(CAST(:names AS text[]))
    RETURNING community_id, highlight_date
), marked AS (
    INSERT INTO due_days (community_id, highlight_date) SELECT DISTINCT community_id, highlight_date FROM gone
)
SELECT community_id, highlight_date FROM gone
""")

_DELETE_PERSON_NON_USERS = text(f"""
WITH {ACCOUNTS} DELETE FROM community_non_users WHERE (platform, account_id) IN (SELECT * FROM accounts)
""")

_DELETE_PERSON_ACCOUNT_NAMES = text(f"""
WITH {ACCOUNTS} DELETE FROM account_names WHERE (platform, account_id) IN (SELECT * FROM accounts)
""")

_DELETE_PERSON_LINKS = text(f"""
WITH {ACCOUNTS}
DELETE FROM member_accounts
WHERE person_id = :person_id OR (platform, account_id) IN (SELECT * FROM accounts)
""")


# The person has no events any more that the exclusion could concern, so no day changes.
_UPDATE_EXCLUDED_MEMBERS = text("""
UPDATE communities
SET settings = jsonb_set(settings, '{excluded_members}', (settings -> 'excluded_members') - CAST(:names AS text[]))
WHERE settings -> 'excluded_members' ?| CAST(:names AS text[])
""")


class ErasedEvents(NamedTuple):
    """Counts of one partition: deleted events, events of others without their author now, and the days now due."""

    events: int
    received: int
    days: set[Day]


def person_events(engine: Engine, person: Person, on_progress: OnProgress) -> Iterator[ErasedEvents]:
    """Delete the person's events, and remove the person as the author in events of others, partition by partition.

    Other transactions can store events meanwhile.
    """
    with transaction(engine) as connection:
        names = partitions.names(connection)
    for done, name in enumerate(names, 1):
        with transaction(engine) as connection:
            locks.share_time_zones(connection)
            rows = connection.execute(text(_DELETE_PERSON_EVENTS.format(partition=name)), person.columns()).all()
        yield ErasedEvents(rows[0][0], rows[0][1], {Day(*row[2:]) for row in rows if row[2] is not None})
        on_progress(done, len(names))


def person_names(connection: Connection, person: Person) -> int:
    """Delete the names of the person's accounts; return how many were deleted. The caller commits."""
    return connection.execute(_DELETE_PERSON_ACCOUNT_NAMES, person.columns()).rowcount


def person_days(connection: Connection, person: Person) -> set[Day]:
    """Delete the person's rows of computed days, mark those days, and return them. The caller commits.

    Also deletes that an account was known as something else than a user, and that the person was excluded. Waits for
    computations that may have read the person's events, so that none of them writes such rows again.
    """
    locks.lock_computations(connection)
    connection.execute(_DELETE_PERSON_NON_USERS, person.columns())
    connection.execute(_UPDATE_EXCLUDED_MEMBERS, {"names": person.names})
    return {Day(*row) for row in connection.execute(_DELETE_PERSON_DAYS, {"names": person.names})}


def person_links(connection: Connection, person: Person) -> int:
    """Delete the links of the person's accounts; return how many were deleted. The caller commits."""
    return connection.execute(_DELETE_PERSON_LINKS, {"person_id": person.person_id, **person.columns()}).rowcount
