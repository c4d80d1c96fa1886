"""The requests of members: a summary of their data, all of it, erasure, opting out and opting in.

A member is given as an account, or by an operator as PLATFORM:ACCOUNT or as the name of a person. A request always
includes all linked accounts of the person, and its result names them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Engine

from participation import mentions
from participation.accounts import Account
from participation.errors import ConfigError, Unavailable
from participation.store import dead_letters
from participation.store.database import transaction
from participation.store.days.due import Day
from participation.store.members import erasure, opt_outs, personal_data, persons
from participation.store.members.erasure import OnProgress
from participation.store.members.personal_data import Summary
from participation.store.members.persons import Person

Who = Account | str


class Kept(NamedTuple):
    """What is kept about a person, and whether an account of the person is opted out."""

    person: Person
    opted_out: bool
    summary: Summary


@dataclass(slots=True)
class Erased:
    """Counts of what was erased about a person.

    received: reactions of others that no longer name the person. days: local days that became due.
    """

    person_id: str
    accounts: tuple[Account, ...]
    events: int = 0
    received: int = 0
    highlights: int = 0
    names: int = 0
    dead_letters: int = 0
    links: int = 0
    days: set[Day] = field(default_factory=set)


def accounts(engine: Engine, who: Who) -> tuple[Account, ...]:
    """Return the accounts of the person, at least one. Raises `ConfigError` if there is no such person."""
    with transaction(engine) as connection:
        return _person(connection, who).accounts


def kept(engine: Engine, who: Who) -> Kept:
    """Count what is kept about the person. Reads the whole table of events."""
    with transaction(engine) as connection:
        person = _person(connection, who)
        summary = personal_data.read_summary(connection, person)
        return Kept(person, opt_outs.is_any_opted_out(connection, person.accounts), summary)


def export(engine: Engine, who: Who) -> Iterator[bytes]:
    """Yield everything that is kept about the person as NDJSON. The `kind` of each line says what it is.

    The first line names the accounts. The rest is read while it is consumed, so it needs little memory.
    """
    with transaction(engine) as connection:
        person = _person(connection, who)
        yield _line("about", _about(connection, person))
        for kind, fields in personal_data.read_everything(connection, person):
            yield _line(kind, fields)


def forget(engine: Engine, who: Who, on_progress: OnProgress = lambda done, total: None) -> Erased:
    """Erase the person. Events from before now that are still in queues are discarded when they arrive.

    Later events count again. Repeating it is safe. Raises `Unavailable` if it must be repeated.
    """
    return _erase(engine, who, on_progress, forever=False)


def opt_out(engine: Engine, who: Who, on_progress: OnProgress = lambda done, total: None) -> Erased:
    """Erase the person, and discard all events of the accounts until the person opts in.

    Repeating it is safe. Raises `Unavailable` if it must be repeated.
    """
    return _erase(engine, who, on_progress, forever=True)


def opt_in(engine: Engine, who: Who) -> tuple[tuple[Account, ...], int]:
    """Keep the accounts' events again from now on; return the accounts, and how many of them had opted out."""
    with transaction(engine) as connection:
        person = _person(connection, who)
        return person.accounts, opt_outs.remove(connection, person.accounts)


def _person(connection: Connection, who: Who) -> Person:
    if isinstance(who, Account):
        return persons.person_of_account(connection, who)
    return persons.find_person(connection, who)


def _erase(engine: Engine, who: Who, on_progress: OnProgress, *, forever: bool) -> Erased:
    # A transaction of its own, because ingest waits for it. After its commit, no event of the person is stored.
    with transaction(engine) as connection:
        person = _person(connection, who)
        opt_outs.add(connection, person.accounts, forever=forever)
    erased = Erased(*person)
    with _incomplete():
        for partition in erasure.person_events(engine, person, on_progress):
            erased.events += partition.events
            erased.received += partition.received
            erased.days |= partition.days
        with transaction(engine) as connection:
            erased.names = erasure.person_names(connection, person)
            computed = erasure.person_days(connection, person)
        erased.highlights = len(computed)
        erased.days |= computed
        own = frozenset(person.accounts)
        erased.dead_letters = dead_letters.delete_where(engine, lambda raw: mentions.mentions_any(raw, own))
        # The links are deleted last, so that a retry finds all accounts by the person's name.
        with transaction(engine) as connection:
            erased.links = erasure.person_links(connection, person)
    return erased


@contextmanager
def _incomplete() -> Iterator[None]:
    try:
        yield
    except (Unavailable, ConfigError) as error:
        text = f"{error}. New events are discarded already, but not everything is erased yet: run it again"
        raise type(error)(text) from error


def _about(connection: Connection, person: Person) -> dict[str, Any]:
    return {
        "text": "Everything that is kept about these accounts, one record in each line. The kind says what it is. "
        "Ids of other members are left out.",
        "exported_at": datetime.now(UTC),
        "person_id": person.person_id,
        "accounts": [account._asdict() for account in person.accounts],
        "opted_out": opt_outs.is_any_opted_out(connection, person.accounts),
    }


def _line(kind: str, fields: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps({"kind": kind, **fields}, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a dead letter may be nested too deeply for orjson
        return orjson.dumps({"kind": kind, "text": repr(fields)}, option=orjson.OPT_APPEND_NEWLINE)
