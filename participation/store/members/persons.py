"""Finds a person by an account or a name, always with all linked accounts."""

from typing import NamedTuple

from sqlalchemy import Connection, text

from participation import accounts
from participation.accounts import Account
from participation.errors import ConfigError, Unavailable

_SELECT_PERSON = text("""
SELECT person_id FROM member_accounts WHERE platform = :platform AND account_id = :account_id
""")

_SELECT_ACCOUNTS = text("""
SELECT platform, account_id FROM member_accounts WHERE person_id = :person_id ORDER BY platform, account_id
""")


class Person(NamedTuple):
    """A person and the accounts that count as this person. There is at least one."""

    person_id: str
    accounts: tuple[Account, ...]

    @property
    def names(self) -> list[str]:
        """All names under which days may have been computed, also before the accounts were linked."""
        return [self.person_id, *map(accounts.person_id, self.accounts)]

    def columns(self) -> dict[str, list[str]]:
        """Return the accounts as parameters of a query."""
        platforms, ids = zip(*self.accounts, strict=True)
        return {"platforms": list(platforms), "ids": list(ids)}


def person_of_account(connection: Connection, account: Account) -> Person:
    """Return the person of an account. An account that is not linked is the person `<platform>:<account_id>`.

    Raises `InvalidEvent` if the platform or the id breaks its rule, and `Unavailable` if the account is being linked
    now.
    """
    accounts.check(account)
    linked = connection.scalar(_SELECT_PERSON, account._asdict())
    found = _person(connection, accounts.person_id(account) if linked is None else linked)
    if account not in found.accounts:
        raise _changing(account.account_id)
    return found


def find_person(connection: Connection, who: str) -> Person:
    """Return the person with this name, or of the account that is written as PLATFORM:ACCOUNT.

    Raises `ConfigError` if there is no such person, or if the text could mean two persons.
    """
    account = accounts.find(who)
    by_account = person_of_account(connection, account) if account else None
    if not connection.execute(_SELECT_ACCOUNTS, {"person_id": who}).first():
        if by_account is None:
            raise ConfigError(
                f"no account is linked to {who!r}, and it is not an account: write PLATFORM:ACCOUNT, such as irc:ada"
            )
        return by_account
    if by_account is not None and by_account.person_id != who:
        raise ConfigError(
            f"{who!r} is a person, and also an account of {by_account.person_id!r}: give another of their accounts"
        )
    return _person(connection, who)


def is_id(connection: Connection, who: str) -> bool:
    """Return whether `find_person` reads the text as an account, or as a person with linked accounts."""
    return accounts.find(who) is not None or bool(connection.execute(_SELECT_ACCOUNTS, {"person_id": who}).first())


def _person(connection: Connection, person_id: str) -> Person:
    found = {Account(*row) for row in connection.execute(_SELECT_ACCOUNTS, {"person_id": person_id})}
    # An account that is not linked counts as the person with its own name, together with accounts linked to that name.
    own = accounts.find(person_id)
    if own is not None and connection.scalar(_SELECT_PERSON, own._asdict()) is None:
        found.add(own)
    if not found:
        raise _changing(person_id)
    return Person(person_id, tuple(sorted(found)))


def _changing(name: str) -> Unavailable:
    """Return the error for a link that changed between two queries."""
    return Unavailable(f"the links of {name!r} are being changed right now: try again")
