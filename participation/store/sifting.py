"""What of a batch is not kept, because its member opted out: found while the batch is stored, in its transaction."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from participation import message
from participation.store import events, opt_outs
from participation.store.events import NULL, Accepted, DeadLetter
from participation.store.members import Account

_ESCAPE: Final = re.compile(r"\\(.)")
_PLAIN: Final = {"t": "\t", "n": "\n", "r": "\r"}

Outs = Mapping[Account, datetime | None]
"""Accounts, and until when what they did is not kept; None for ever."""


class Sifted(NamedTuple):
    """What of a batch is kept, and how many events were left out, by import."""

    accepted: Sequence[Accepted]
    dead: Sequence[DeadLetter]
    opted_out: Counter[str | None]


def sift(connection: Connection, accepted: Sequence[Accepted], dead: Sequence[DeadLetter]) -> Sifted:
    """Leave out the events of members who opted out, and their names as authors of what others reacted to.

    Nobody can opt out from here on until the caller commits.
    """
    key = opt_outs.hold(connection)
    if key is None:
        return Sifted(accepted, dead, Counter())
    # As in the rows, and as they are: few of them need a second look.
    names = {(row.platform, name) for row, _, _ in accepted for name in (row.member_id, row.object_author_id)}
    plain = {each: Account(each[0], _plain(each[1])) for each in names if each[1] != NULL}
    found = opt_outs.find(connection, key, {*plain.values(), *(one for letter in dead for one in letter.accounts)})
    if not found:
        return Sifted(accepted, dead, Counter())
    return _sift(accepted, dead, {each: found[account] for each, account in plain.items() if account in found}, found)


def _sift(
    accepted: Sequence[Accepted],
    dead: Sequence[DeadLetter],
    rows: Mapping[tuple[str, str], datetime | None],
    outs: Outs,
) -> Sifted:
    kept: list[Accepted] = []
    dropped: list[Accepted] = []
    for item in accepted:
        row = item.row
        if _is_out(row.occurred_at, rows, (row.platform, row.member_id)):
            dropped.append(item)
        elif _is_out(row.occurred_at, rows, (row.platform, row.object_author_id)):
            kept.append(_without_author(item))
        else:
            kept.append(item)
    letters = [letter for letter in dead if not _is_dead_out(letter, outs)]
    left_out = Counter(letter.import_id for letter in dead)
    left_out.subtract(letter.import_id for letter in letters)
    return Sifted(kept, letters, events.by_import(dropped) + left_out)


def _is_out(occurred_at: str, rows: Mapping[tuple[str, str], datetime | None], name: tuple[str, str]) -> bool:
    if name not in rows:
        return False
    until = rows[name]
    return until is None or datetime.fromisoformat(occurred_at) < until


def _is_dead_out(letter: DeadLetter, outs: Outs) -> bool:
    """Whether the letter names somebody who opted out; what does not tell its time may be of before."""
    untils = [outs[account] for account in letter.accounts if account in outs]
    at = letter.occurred_at
    return any(until is None or at is None or at < until for until in untils)


def _without_author(item: Accepted) -> Accepted:
    """Return the event without the author, also in the message that is kept if PostgreSQL rejects the row."""
    found = message.decode(item.raw)
    payload = {**found.event, "object_author_id": None} if isinstance(found.event, dict) else found.event
    row = item.row._replace(object_author_id=NULL)
    return Accepted(row, item.community_id, message.encode(payload, found.import_id))


def _plain(value: str) -> str:
    """Undo what `events.copied` does."""
    return _ESCAPE.sub(lambda found: _PLAIN.get(found[1], found[1]), value) if "\\" in value else value
