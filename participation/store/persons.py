"""Whom a name means: an account, or a person, and always with all the accounts that count as that person."""

from typing import NamedTuple

from sqlalchemy import Connection, text

from participation import event
from participation.errors import ConfigError, InvalidEvent, Unavailable
from participation.store.members import Account

_PERSON = text("""
SELECT person_id FROM member_accounts WHERE platform = :platform AND account_id = :account_id
""")

_ACCOUNTS = text("""
SELECT platform, account_id FROM member_accounts WHERE person_id = :person_id ORDER BY platform, account_id
""")


class Person(NamedTuple):
    """A person and the accounts that count as it, at least one."""

    person_id: str
    accounts: tuple[Account, ...]

    @property
    def names(self) -> list[str]:
        """The names under which days were ever computed, also before the accounts were linked."""
        return [self.person_id, *(f"{platform}:{account_id}" for platform, account_id in self.accounts)]

    def columns(self) -> dict[str, list[str]]:
        """Return the accounts as the queries take them."""
        platforms, ids = zip(*self.accounts, strict=True)
        return {"platforms": list(platforms), "ids": list(ids)}


def of(connection: Connection, account: Account) -> Person:
    """Return whose account it is; by itself it is the person `<platform>:<account_id>`.

    Raises `InvalidEvent` for what no account can be called, and `Unavailable` if the account is linked or unlinked now.
    """
    event.check(platform=account.platform, member_id=account.account_id)
    linked = connection.scalar(_PERSON, account._asdict())
    found = _person(connection, f"{account.platform}:{account.account_id}" if linked is None else linked)
    if account not in found.accounts:
        raise _changing(account.account_id)
    return found


def named(connection: Connection, who: str) -> Person:
    """Return whom PLATFORM:ACCOUNT or the name of a person means.

    Raises `ConfigError` for what is neither, and for what would be two persons.
    """
    account = parsed(who)
    by_account = of(connection, account) if account else None
    if not connection.execute(_ACCOUNTS, {"person_id": who}).first():
        if by_account is None:
            raise ConfigError(f"nobody is linked as {who!r}, and it is no account: write PLATFORM:ACCOUNT, as irc:ada")
        return by_account
    if by_account is not None and by_account.person_id != who:
        raise ConfigError(
            f"{who!r} is a person, and also an account of {by_account.person_id!r}: name one of their other accounts"
        )
    return _person(connection, who)


def parsed(who: str) -> Account | None:
    """Return the account that is written as PLATFORM:ACCOUNT, or None if it is none."""
    platform, _, account_id = who.partition(":")
    try:
        event.check(platform=platform, member_id=account_id)
    except InvalidEvent:
        return None
    return Account(platform, account_id)


def _person(connection: Connection, person_id: str) -> Person:
    accounts = {Account(*row) for row in connection.execute(_ACCOUNTS, {"person_id": person_id})}
    # An account that is not linked counts as the person of its own name, whoever else is linked under that.
    own = parsed(person_id)
    if own is not None and connection.scalar(_PERSON, own._asdict()) is None:
        accounts.add(own)
    if not accounts:
        raise _changing(person_id)
    return Person(person_id, tuple(sorted(accounts)))


def _changing(name: str) -> Unavailable:
    """Return what to say when a link has changed between two looks: whom the name meant is somebody else by now."""
    return Unavailable(f"the links of {name!r} are being changed at this moment: try again")
