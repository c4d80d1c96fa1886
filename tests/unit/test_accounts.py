"""Accounts as people write them."""

import pytest

from participation import accounts
from participation.accounts import Account
from participation.errors import ConfigError, InvalidEvent


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("irc:ada", Account("irc", "ada")),
        ("discord:80351110224678912", Account("discord", "80351110224678912")),
        ("irc:#deck:ada", Account("irc", "#deck:ada")),  # only the first colon separates
    ],
)
def test_parse__takes_platform_and_account(text: str, account: Account) -> None:
    assert accounts.parse(text) == accounts.find(text) == account
    assert accounts.person_id(account) == text


@pytest.mark.parametrize("text", ["ada", ""])
def test_parse__without_a_colon_is_no_account(text: str) -> None:
    """What to write is in the error."""
    assert accounts.find(text) is None
    with pytest.raises(ConfigError, match="write PLATFORM:ACCOUNT"):
        accounts.parse(text)


@pytest.mark.parametrize(("text", "field"), [("IRC:ada", "platform"), (":ada", "platform"), ("irc:", "member_id")])
def test_parse__names_the_part_that_is_impossible(text: str, field: str) -> None:
    assert accounts.find(text) is None
    with pytest.raises(InvalidEvent) as refused:
        accounts.parse(text)
    assert refused.value.field == field
