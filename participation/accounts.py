"""A member's account on one platform, and how people write it: PLATFORM:ACCOUNT."""

from typing import NamedTuple

from participation import event
from participation.errors import ConfigError, InvalidEvent


class Account(NamedTuple):
    """A member's account on one platform."""

    platform: str
    account_id: str


def person_id(account: Account) -> str:
    """Return the person of an account that is not linked: `<platform>:<account_id>`."""
    return ":".join(account)


def check(account: Account) -> None:
    """Raise `InvalidEvent` if the platform or the id breaks its rule."""
    event.check(platform=account.platform, member_id=account.account_id)


def find(text: str) -> Account | None:
    """Return the account that is written as PLATFORM:ACCOUNT, or None if the text is not an account."""
    platform, _, account_id = text.partition(":")
    account = Account(platform, account_id)
    try:
        check(account)
    except InvalidEvent:
        return None
    return account


def parse(text: str) -> Account:
    """Return the account that is written as PLATFORM:ACCOUNT.

    Raises `ConfigError` without a colon, and `InvalidEvent` if the platform or the id breaks its rule.
    """
    platform, colon, account_id = text.partition(":")
    if not colon:
        raise ConfigError(f"{text!r} is not an account: write PLATFORM:ACCOUNT, for example discord:123456789")
    account = Account(platform, account_id)
    check(account)
    return account
