"""Enforces opt-outs: the transaction that stores a batch discards the events of members who opted out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from participation.accounts import Account
from participation.store.dead_letters import NewDeadLetter
from participation.store.ingest import events
from participation.store.ingest.events import NULL, Accepted, Source
from participation.store.members import opt_outs

Name = tuple[str, str]
"""A platform and an account id as in a row, where they are escaped for COPY."""

Until = Mapping[Account, datetime | None]
"""Accounts, and the time before which their events are discarded. None: all events."""


class Filtered(NamedTuple):
    """The part of a batch that is kept, and how many events were discarded, by source."""

    accepted: Sequence[Accepted]
    dead: Sequence[NewDeadLetter]
    opted_out: Counter[Source]


def filter_opted_out(connection: Connection, accepted: Sequence[Accepted], dead: Sequence[NewDeadLetter]) -> Filtered:
    """Discard the events of members who opted out, and remove these members as authors from other events.

    New opt-outs wait until the caller commits.
    """
    key = opt_outs.lock_and_read_key(connection)
    if key is None:
        return Filtered(accepted, dead, Counter())
    names = {(row.platform, name) for row, *_ in accepted for name in (row.member_id, row.object_author_id)}
    accounts = {name: Account(name[0], events.unescaped(name[1])) for name in names if name[1] != NULL}
    mentioned = {account for letter in dead for account in letter.accounts}
    found = opt_outs.find(connection, key, {*accounts.values(), *mentioned})
    if not found:
        return Filtered(accepted, dead, Counter())
    return _filter(accepted, dead, {name: found[each] for name, each in accounts.items() if each in found}, found)


def _filter(
    accepted: Sequence[Accepted], dead: Sequence[NewDeadLetter], names: Mapping[Name, datetime | None], until: Until
) -> Filtered:
    kept: list[Accepted] = []
    dropped: list[Accepted] = []
    for item in accepted:
        row = item.row
        if _is_discarded(row.occurred_at, names, (row.platform, row.member_id)):
            dropped.append(item)
        elif _is_discarded(row.occurred_at, names, (row.platform, row.object_author_id)):
            kept.append(item._replace(row=row._replace(object_author_id=NULL), is_author_removed=True))
        else:
            kept.append(item)
    letters = [letter for letter in dead if not _is_letter_discarded(letter, until)]
    discarded = events.by_source(dropped)
    discarded.update(letter.source for letter in dead)
    discarded.subtract(letter.source for letter in letters)
    return Filtered(kept, letters, +discarded)


def _is_discarded(occurred_at: str, names: Mapping[Name, datetime | None], name: Name) -> bool:
    if name not in names:
        return False
    until = names[name]
    return until is None or datetime.fromisoformat(occurred_at) < until


def _is_letter_discarded(letter: NewDeadLetter, until: Until) -> bool:
    """Return whether to discard the letter because of an opt-out. Without a readable time, it is discarded."""
    limits = [until[account] for account in letter.accounts if account in until]
    at = letter.occurred_at
    return any(limit is None or at is None or at < limit for limit in limits)
