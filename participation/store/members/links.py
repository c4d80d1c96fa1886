"""Linked accounts: accounts on several platforms that count as one person."""

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, text

from participation.accounts import Account
from participation.store import locks
from participation.store.days import calendar, due

_LINK_ACCOUNT = text("""
INSERT INTO member_accounts AS m (platform, account_id, person_id)
VALUES (:platform, :account_id, :person_id)
ON CONFLICT (platform, account_id) DO UPDATE SET person_id = excluded.person_id, linked_at = now()
WHERE m.person_id <> excluded.person_id
""")

_UNLINK_ACCOUNT = text("DELETE FROM member_accounts WHERE platform = :platform AND account_id = :account_id")

# There is no index on accounts, because it would slow ingest down. Linking is rare and may read the whole table.
_MARK_DAYS_OF_ACCOUNT = text(f"""
INSERT INTO due_days (community_id, highlight_date)
{
    calendar.TOUCHED_DAYS.format(
        source='''(
    SELECT community_id, occurred_at, event_type, actor_kind FROM participation_events
    WHERE platform = :platform AND :account_id IN (member_id, object_author_id)
) AS own'''
    )
}
""")

# With `authors_from_messages`, a reaction does not name its author. Each day that concerns one has a row of the person,
# as it was linked before.
_MARK_DAYS_OF_AUTHORS = text("""
INSERT INTO due_days (community_id, highlight_date)
SELECT DISTINCT h.community_id, h.highlight_date
FROM json_to_recordset(CAST(:accounts AS json)) AS given (platform text, account_id text)
LEFT JOIN member_accounts AS link USING (platform, account_id)
JOIN member_daily_highlights AS h ON h.member_id = coalesce(link.person_id, platform || ':' || account_id)
JOIN communities AS c USING (community_id)
WHERE c.settings -> 'authors_from_messages' = 'true'
""")

# A member is excluded with all linked accounts, so other accounts may be included or excluded now.
_SELECT_COMMUNITIES_THAT_EXCLUDE = text("""
SELECT DISTINCT community_id
FROM communities, json_to_recordset(CAST(:accounts AS json)) AS given (platform text, account_id text)
WHERE settings -> 'excluded_members' ? (platform || ':' || account_id)
""")


def link(connection: Connection, person_id: str, accounts: Sequence[Account]) -> int:
    """Link the accounts to the person, and unlink them from any other person; return how many changed.

    Every day on which a changed account counts becomes due. The caller commits. Repeating it is safe.
    """
    return _change(connection, [{**account._asdict(), "person_id": person_id} for account in accounts], link=True)


def unlink(connection: Connection, accounts: Sequence[Account]) -> int:
    """Unlink the accounts, so that each counts as a person of its own; return how many were linked.

    Every day on which an unlinked account counts becomes due. The caller commits. Repeating it is safe.
    """
    return _change(connection, [account._asdict() for account in accounts], link=False)


def _mark_days_by_options(connection: Connection, ordered: Sequence[dict[str, str]]) -> list[str]:
    """Mark days on which messages of the accounts may tell an author; return communities that exclude an account."""
    values = {"accounts": orjson.dumps(ordered).decode()}
    connection.execute(_MARK_DAYS_OF_AUTHORS, values)
    return list(connection.scalars(_SELECT_COMMUNITIES_THAT_EXCLUDE, values))


def _change(connection: Connection, accounts: Sequence[dict[str, str]], *, link: bool) -> int:
    locks.share_time_zones(connection)
    # Always in the same order. Otherwise two commands at once could deadlock.
    ordered = sorted(accounts, key=lambda account: (account["platform"], account["account_id"]))
    listed = _mark_days_by_options(connection, ordered)
    changed = [
        account
        for account in ordered
        if connection.execute(_LINK_ACCOUNT if link else _UNLINK_ACCOUNT, account).rowcount
    ]
    for account in changed:
        connection.execute(_MARK_DAYS_OF_ACCOUNT, account)
    for name in listed:
        due.mark_all_days(connection, name)
    return len(changed)
