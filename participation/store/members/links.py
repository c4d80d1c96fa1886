"""Linked accounts: accounts on several platforms that count as one person."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from participation.accounts import Account
from participation.store import locks
from participation.store.days import calendar

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


def _change(connection: Connection, accounts: Sequence[dict[str, str]], *, link: bool) -> int:
    locks.share_time_zones(connection)
    # Always in the same order. Otherwise two commands at once could deadlock.
    ordered = sorted(accounts, key=lambda account: (account["platform"], account["account_id"]))
    changed = [
        account
        for account in ordered
        if connection.execute(_LINK_ACCOUNT if link else _UNLINK_ACCOUNT, account).rowcount
    ]
    for account in changed:
        connection.execute(_MARK_DAYS_OF_ACCOUNT, account)
    return len(changed)
