"""Accounts that are known in a community as something else than a user. They receive no reactions.

An account is known when an event of it with another `actor_kind` is stored, whenever it occurred. The table of events
has no index that finds such accounts, so they have a table of their own.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Connection, text

from participation.store import locks


class NonUser(NamedTuple):
    """An account that is not a user's in this community."""

    community_id: str
    platform: str
    account_id: str


_GIVEN: Final = (
    "json_to_recordset(CAST(:accounts AS json)) AS given (community_id text, platform text, account_id text)"
)
_KNOWN: Final = """
FROM community_non_users AS n
WHERE (n.community_id, n.platform, n.account_id) = (given.community_id, given.platform, given.account_id)
"""

_HAS_NEW_NON_USERS = text(f"SELECT EXISTS (SELECT FROM {_GIVEN} WHERE NOT EXISTS (SELECT {_KNOWN}))")

# An account counts for the person to whom it is linked.
_RECEIVED: Final = """
LEFT JOIN member_accounts AS link USING (platform, account_id)
LEFT JOIN community_parts AS part ON part.part_id = found.community_id
JOIN member_daily_highlights AS h ON h.community_id = coalesce(part.community_id, found.community_id)
    AND h.member_id = coalesce(link.person_id, found.platform || ':' || found.account_id) AND h.reactions_received > 0
"""

# In the order of the key. Otherwise two batches could deadlock.
_INSERT_NON_USERS = text(f"""
WITH found AS (
    INSERT INTO community_non_users (community_id, platform, account_id)
    SELECT community_id, platform, account_id FROM {_GIVEN} ORDER BY community_id, platform, account_id
    ON CONFLICT DO NOTHING
    RETURNING community_id, platform, account_id
)
INSERT INTO due_days (community_id, highlight_date)
SELECT DISTINCT h.community_id, h.highlight_date FROM found {_RECEIVED}
""")

_SELECT_NON_USERS_BETWEEN = text(f"""
SELECT DISTINCT community_id, platform, account_id
FROM (
    SELECT community_id, platform, member_id AS account_id FROM participation_events
    WHERE community_id = ANY(CAST(:parts AS text[])) AND actor_kind <> 'user'
        AND occurred_at >= :start AND occurred_at <= :end
) AS given
WHERE NOT EXISTS (SELECT {_KNOWN})
""")

# A person with an account of a user may well have received reactions.
_MARK_CONTRADICTED_DAYS = text(f"""
INSERT INTO due_days (community_id, highlight_date)
SELECT DISTINCT h.community_id, h.highlight_date FROM community_non_users AS found {_RECEIVED}
WHERE NOT EXISTS (
    SELECT FROM member_accounts AS given
    WHERE person_id = h.member_id AND NOT EXISTS (
        SELECT FROM community_non_users AS n LEFT JOIN community_parts AS own ON own.part_id = n.community_id
        WHERE coalesce(own.community_id, n.community_id) = h.community_id
            AND (n.platform, n.account_id) = (given.platform, given.account_id)
    )
)
""")


def note(connection: Connection, accounts: Collection[NonUser]) -> None:
    """Store accounts of events that are stored, and mark the computed days on which new ones received reactions.

    If one is new, this waits for computations, which may have counted reactions to it. The caller commits. Repeating it
    is safe.
    """
    values = {"accounts": orjson.dumps([each._asdict() for each in accounts]).decode()}
    if accounts and connection.scalar(_HAS_NEW_NON_USERS, values):
        locks.lock_computations(connection)
        connection.execute(_INSERT_NON_USERS, values)


def note_between(connection: Connection, parts: Sequence[str], start: datetime, end: datetime) -> None:
    """Do the same for events of these parts and this time that an older version stored without noting accounts."""
    span = {"parts": list(parts), "start": start, "end": end}
    if connection.execute(_SELECT_NON_USERS_BETWEEN, span).first():
        # Read again under the lock, because the account may have been erased meanwhile.
        locks.lock_computations(connection)
        note(connection, [NonUser(*row) for row in connection.execute(_SELECT_NON_USERS_BETWEEN, span)])


def mark_contradicted_days(connection: Connection) -> int:
    """Mark the days on which an older version counted reactions to such accounts; return how many.

    The caller commits.
    """
    return connection.execute(_MARK_CONTRADICTED_DAYS).rowcount
