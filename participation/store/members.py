"""Persons: accounts on several platforms that belong to one human being."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from participation.store import calendar


class Account(NamedTuple):
    """A member's account on one platform."""

    platform: str
    account_id: str


_LINK = text("""
INSERT INTO member_accounts AS m (platform, account_id, person_id)
VALUES (:platform, :account_id, :person_id)
ON CONFLICT (platform, account_id) DO UPDATE SET person_id = excluded.person_id, linked_at = now()
WHERE m.person_id <> excluded.person_id
""")

_UNLINK = text("DELETE FROM member_accounts WHERE platform = :platform AND account_id = :account_id")

# There is no index on accounts, which ingest would pay for; linking is rare and may read the whole table.
_MARK = text(f"""
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
    """Make the accounts the person's, each leaving the person that it was linked to; return how many changed.

    Every day on which a changed account counts becomes due. The caller commits. A repeat is safe.
    """
    return _change(connection, [{**account._asdict(), "person_id": person_id} for account in accounts], link=True)


def unlink(connection: Connection, accounts: Sequence[Account]) -> int:
    """Make each account a person of its own again; return how many were linked. As for `link` otherwise."""
    return _change(connection, [account._asdict() for account in accounts], link=False)


def _change(connection: Connection, accounts: Sequence[dict[str, str]], *, link: bool) -> int:
    calendar.share(connection)
    # In one order: two commands at once would otherwise wait for each other in a circle.
    ordered = sorted(accounts, key=lambda account: (account["platform"], account["account_id"]))
    changed = [account for account in ordered if connection.execute(_LINK if link else _UNLINK, account).rowcount]
    for account in changed:
        connection.execute(_MARK, account)
    return len(changed)
