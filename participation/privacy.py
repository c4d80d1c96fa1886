"""What members may ask for: what is kept about them, all of it, to have it erased, and to be left out from now on.

A member is named by an account, or by an operator as PLATFORM:ACCOUNT or as a person. It always means the whole person,
with all linked accounts; what is returned says which these are.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Engine

from participation.errors import ConfigError, Unavailable
from participation.store import erasure, opt_outs, persons, traces, whose
from participation.store.database import transaction
from participation.store.due import Day
from participation.store.erasure import OnProgress
from participation.store.members import Account
from participation.store.persons import Person

Who = Account | str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept about a person.

    events: how many, by type. received: reactions of others that name the person as the author. highlight_days: local
    days of a community that have a row of the person. dead_letters: those whose event can be read.
    """

    person_id: str
    accounts: tuple[Account, ...]
    opted_out: bool
    events: Mapping[str, int]
    first_at: datetime | None
    last_at: datetime | None
    communities: tuple[str, ...]
    received: int
    highlight_days: int
    dead_letters: int

    @property
    def is_nothing(self) -> bool:
        return not (self.events or self.received or self.highlight_days or self.dead_letters)


@dataclass(slots=True)
class Erased:
    """What was erased about a person.

    received: reactions of others that no longer name the person. days: local days that are due to be computed again.
    """

    person_id: str
    accounts: tuple[Account, ...]
    events: int = 0
    received: int = 0
    highlights: int = 0
    dead_letters: int = 0
    links: int = 0
    days: set[Day] = field(default_factory=set)


def accounts(engine: Engine, who: Who) -> tuple[Account, ...]:
    """Return the accounts of the person, at least one. Raises `ConfigError` for a name that means nobody."""
    with transaction(engine) as connection:
        return _person(connection, who).accounts


def kept(engine: Engine, who: Who) -> Kept:
    """Count what is kept about the person. Reads the whole table of events."""
    with transaction(engine) as connection:
        person = _person(connection, who)
        summary = traces.summary(connection, person)
        return Kept(*person, opted_out=opt_outs.are_out(connection, person.accounts), **summary._asdict())


def export(engine: Engine, who: Who) -> Iterator[bytes]:
    """Yield everything that is kept about the person, as NDJSON: a line each, whose `kind` says what it is.

    The first line tells whom it is about. The rest is read while it is taken, so it fills no memory.
    """
    with transaction(engine) as connection:
        person = _person(connection, who)
        yield _line("about", _about(connection, person))
        for kind, fields in traces.everything(connection, person):
            yield _line(kind, fields)


def forget(engine: Engine, who: Who, on_progress: OnProgress = lambda done, total: None) -> Erased:
    """Erase the person. What was done until now and is still on its way is left out when it arrives.

    What the person does later counts again. A repeat is safe. Raises `Unavailable` when a repeat is needed.
    """
    return _erase(engine, who, on_progress, forever=False)


def opt_out(engine: Engine, who: Who, on_progress: OnProgress = lambda done, total: None) -> Erased:
    """Erase the person and keep nothing of what the accounts ever do, until they opt in. As for `forget` otherwise."""
    return _erase(engine, who, on_progress, forever=True)


def opt_in(engine: Engine, who: Who) -> tuple[tuple[Account, ...], int]:
    """Keep again what the accounts do from now on; return them, and how many of them had opted out."""
    with transaction(engine) as connection:
        person = _person(connection, who)
        return person.accounts, opt_outs.admit(connection, person.accounts)


def _person(connection: Connection, who: Who) -> Person:
    return persons.of(connection, who) if isinstance(who, Account) else persons.named(connection, who)


def _erase(engine: Engine, who: Who, on_progress: OnProgress, *, forever: bool) -> Erased:
    # By itself, so that ingest waits for no more than this: from its commit on nothing new of the person is stored.
    with transaction(engine) as connection:
        person = _person(connection, who)
        opt_outs.bar(connection, person.accounts, forever=forever)
    erased = Erased(*person)
    with _half_done():
        for events, received, days in erasure.person_events(engine, person, on_progress):
            erased.events += events
            erased.received += received
            erased.days |= days
        with transaction(engine) as connection:
            computed = erasure.person_days(connection, person)
        erased.highlights = len(computed)
        erased.days |= computed
        own = frozenset(person.accounts)
        erased.dead_letters = erasure.letters(engine, lambda raw: whose.concerns(raw, own))
        # The last of all: until then the person's name leads a repeat to all accounts.
        with transaction(engine) as connection:
            erased.links = erasure.person_links(connection, person)
    return erased


@contextmanager
def _half_done() -> Iterator[None]:
    try:
        yield
    except (Unavailable, ConfigError) as error:
        text = f"{error}: nothing new is kept any more, but not everything is erased yet: run it again"
        raise type(error)(text) from error


def _about(connection: Connection, person: Person) -> dict[str, Any]:
    return {
        "text": "Everything that is kept about these accounts; each line is a thing, and its kind says what. "
        "Ids of other members are left out.",
        "exported_at": datetime.now(UTC),
        "person_id": person.person_id,
        "accounts": [account._asdict() for account in person.accounts],
        "opted_out": opt_outs.are_out(connection, person.accounts),
    }


def _line(kind: str, fields: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps({"kind": kind, **fields}, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a dead letter may be deeper than can be written
        return orjson.dumps({"kind": kind, "text": repr(fields)}, option=orjson.OPT_APPEND_NEWLINE)
