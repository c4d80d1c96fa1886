"""Enforces opt-outs: the transaction that stores a batch discards the events of members who opted out."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from participation.accounts import Account
from participation.notices import names
from participation.notices.names import AccountName
from participation.store.dead_letters import NewDeadLetter
from participation.store.ingest import events
from participation.store.ingest.content import Content
from participation.store.ingest.events import NULL, Accepted
from participation.store.members import opt_outs

Id = tuple[str, str]
"""A platform and an account id as in a row, where they are escaped for COPY."""

Until = Mapping[Account, datetime | None]
"""Accounts, and the time before which their events are discarded. None: all events."""


def filter_opted_out(connection: Connection, content: Content) -> Content:
    """Return the content without the events and names of members who opted out, and without them as authors.

    New opt-outs wait until the caller commits.
    """
    key = opt_outs.lock_and_read_key(connection)
    if key is None:
        return content
    ids = {(row.platform, name) for row, *_ in content.accepted for name in (row.member_id, row.object_author_id)}
    accounts = {name: Account(name[0], events.unescaped(name[1])) for name in ids if name[1] != NULL}
    mentioned = {account for letter in content.dead for account in letter.accounts}
    named = {_account(name) for name in content.notices.names if isinstance(name, AccountName)}
    found = opt_outs.find(connection, key, {*accounts.values(), *mentioned, *named})
    if not found:
        return content
    return _filter(content, {name: found[each] for name, each in accounts.items() if each in found}, found)


def _filter(content: Content, ids: Mapping[Id, datetime | None], until: Until) -> Content:
    kept: list[Accepted] = []
    for item in content.accepted:
        row = item.row
        if _is_discarded(row.occurred_at, ids, (row.platform, row.member_id)):
            continue
        if _is_discarded(row.occurred_at, ids, (row.platform, row.object_author_id)):
            kept.append(item._replace(row=row._replace(object_author_id=NULL), is_author_removed=True))
        else:
            kept.append(item)
    letters = [letter for letter in content.dead if not _is_letter_discarded(letter, until)]
    told = [name for name in content.notices.names if not _is_name_discarded(name, until)]
    return Content(kept, replace(content.notices, names=told), letters)


def _account(name: AccountName) -> Account:
    return Account(name.platform, name.id)


def _is_name_discarded(name: names.Name, until: Until) -> bool:
    if not isinstance(name, AccountName) or (account := _account(name)) not in until:
        return False
    limit = until[account]
    return limit is None or name.seen_at < limit


def _is_discarded(occurred_at: str, ids: Mapping[Id, datetime | None], name: Id) -> bool:
    if name not in ids:
        return False
    until = ids[name]
    return until is None or datetime.fromisoformat(occurred_at) < until


def _is_letter_discarded(letter: NewDeadLetter, until: Until) -> bool:
    """Return whether to discard the letter because of an opt-out. Without a readable time, it is discarded."""
    limits = [until[account] for account in letter.accounts if account in until]
    at = letter.occurred_at
    return any(limit is None or at is None or at < limit for limit in limits)
