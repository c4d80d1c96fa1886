"""The members of a community, found by a name, a username or an id."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, text

from participation import accounts
from participation.accounts import Account
from participation.display_names import key
from participation.store.communities import shown_names
from participation.store.days import parts
from participation.store.days.day_query import IS_ACTIVE

_SELECT_MEMBER_ACCOUNTS = text("""
SELECT coalesce(m.person_id, n.platform || ':' || n.account_id) AS person_id, platform, account_id, name, username
FROM account_names AS n LEFT JOIN member_accounts AS m USING (platform, account_id)
WHERE n.community_id = ANY(CAST(:parts AS text[])) AND NOT EXISTS (
    SELECT FROM community_non_users AS u
    WHERE u.community_id = ANY(CAST(:parts AS text[]))
        AND (u.platform, u.account_id) = (n.platform, n.account_id)
)
ORDER BY n.seen_at DESC
""")

# A row that was computed before an account was linked has the account's id, and is counted for the person of today.
_SELECT_LAST_ACTIVE_DAYS = text(f"""
WITH computed AS (
    SELECT member_id, max(highlight_date) FILTER (WHERE {IS_ACTIVE}) AS last_date
    FROM member_daily_highlights WHERE community_id = :community_id GROUP BY member_id
)
SELECT coalesce(m.person_id, member_id) AS person_id, max(last_date) AS last_date
FROM computed LEFT JOIN member_accounts AS m
    ON m.platform = split_part(member_id, ':', 1) AND m.account_id = substr(member_id, strpos(member_id, ':') + 1)
GROUP BY 1
""")

_SELECT_ACCOUNTS_OF_PERSONS = text("""
SELECT person_id, platform, account_id FROM member_accounts WHERE person_id = ANY(CAST(:persons AS text[]))
""")


@dataclass(frozen=True, slots=True)
class MemberAccount:
    """An account of a member. name, username: the newest in this community, None if not known."""

    platform: str
    account_id: str
    name: str | None
    username: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a community. name: what people are shown, None if not known. last_active_date: a computed day."""

    member_id: str
    name: str | None
    accounts: tuple[MemberAccount, ...]
    last_active_date: date | None


class Found(NamedTuple):
    """The first of the members that were found, and how many there are."""

    members: list[Member]
    total: int


class _Known(NamedTuple):
    """What is known about the members: their accounts, the newest names of these, and their last active days."""

    accounts: Mapping[str, set[Account]]
    names: Mapping[Account, tuple[str | None, str | None]]
    last_dates: Mapping[str, date | None]


def find(connection: Connection, community_id: str, search: str, limit: int) -> Found:
    """Return the members whose names, usernames or ids contain the text, those active last first.

    Upper and lower case do not matter. A member is a person of whom a name or a computed day is stored. Reads all
    members of the community.
    """
    known = _read(connection, community_id)
    wanted = key(search).removeprefix("@")
    found = [person for person in known.accounts if any(wanted in key(each) for each in _words(person, known))]
    found.sort(key=lambda person: (-_ordinal(known.last_dates.get(person)), _name(person, known), person))
    names = shown_names.of_members(connection, community_id, found[:limit])
    members = [_member(person, names.get(person), known) for person in found[:limit]]
    return Found(members, len(found))


def _read(connection: Connection, community_id: str) -> _Known:
    rows = connection.execute(_SELECT_MEMBER_ACCOUNTS, {"parts": parts.parts_of(connection, community_id)}).all()
    days = connection.execute(_SELECT_LAST_ACTIVE_DAYS, {"community_id": community_id})
    last_dates = {row.person_id: row.last_date for row in days}
    persons = {*last_dates, *(row.person_id for row in rows)}
    linked = connection.execute(_SELECT_ACCOUNTS_OF_PERSONS, {"persons": list(persons)}).all()
    # The rows are the newest first, so the newest name of an account is set last.
    names = {Account(row.platform, row.account_id): (row.name, row.username) for row in reversed(rows)}
    return _Known(_accounts(persons, [*rows, *linked]), names, last_dates)


def _accounts(persons: Iterable[str], rows: Iterable[Row[Any]]) -> Mapping[str, set[Account]]:
    found: defaultdict[str, set[Account]] = defaultdict(set)
    for row in rows:
        found[row.person_id].add(Account(row.platform, row.account_id))
    for person in persons:
        if not found[person] and (own := accounts.find(person)):
            found[person].add(own)
    return found


def _words(person: str, known: _Known) -> Iterable[str]:
    """Yield the words by which a member can be found."""
    yield person
    for account in known.accounts[person]:
        yield accounts.person_id(account)
        yield from filter(None, known.names.get(account, ()))


def _name(person: str, known: _Known) -> str:
    """Return a name by which members are ordered."""
    names = (known.names.get(each, (None, None))[0] for each in known.accounts[person])
    return min((key(name) for name in names if name), default="")


def _ordinal(day: date | None) -> int:
    return 0 if day is None else day.toordinal()


def _member(person: str, name: str | None, known: _Known) -> Member:
    own = [MemberAccount(*each, *known.names.get(each, (None, None))) for each in sorted(known.accounts[person])]
    return Member(person, name, tuple(own), known.last_dates.get(person))
