"""The options of the adapters, in the real libraries: a wrong one is refused where the bot is set up."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiogram
import discord
import pytest
from discord.ext import commands
from telegram.ext import Application

from participation.bots.aiogram import Participation
from participation.bots.discord import ParticipationCog, attach
from participation.bots.telegram import add_participation
from participation.errors import ConfigError
from participation.publish import Publisher
from tests.standins.telegram import TOKEN

SetUp = Callable[..., Any]


def application() -> Any:
    return Application.builder().token(TOKEN).build()


ADAPTERS: dict[str, SetUp] = {
    "cog": lambda **options: ParticipationCog(
        commands.Bot(commands.when_mentioned, intents=discord.Intents.default()), **options
    ),
    "attach": lambda **options: attach(discord.Client(intents=discord.Intents.default()), **options),
    "aiogram": lambda **options: Participation(**options).setup(aiogram.Dispatcher()),
    "python-telegram-bot": lambda **options: add_participation(application(), **options),
}
IDS = {"cog": "10", "attach": "10", "aiogram": "-1001", "python-telegram-bot": "-1001"}

adapters = pytest.mark.parametrize("adapter", ADAPTERS)


@pytest.fixture(autouse=True)
def spool(environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path))


@adapters
@pytest.mark.parametrize(
    "name", ["", "x" * 256, "har\0bour", None, 7, b"harbour"], ids=["empty", "long", "NUL", "none", "number", "bytes"]
)
def test_communities__names_that_no_event_can_have_are_refused(adapter: str, name: object) -> None:
    """Otherwise each event of that guild or chat would be lost later."""
    with pytest.raises(ConfigError, match=rf"communities: the name of '{IDS[adapter]}' must be a string of 1–255"):
        ADAPTERS[adapter](communities={IDS[adapter]: name})


@adapters
@pytest.mark.parametrize(
    "key", ["harbour", "", " 10", "1_0", "1.0", "٣", 1.0, None, True, 0, "9" * 20, 2**64, -(2**64)]
)
def test_communities__keys_that_no_guild_or_chat_can_have_are_refused(adapter: str, key: object) -> None:
    """Otherwise they would never match."""
    with pytest.raises(ConfigError, match=r"communities: .* cannot be the id of a guild or group; on .* it is a"):
        ADAPTERS[adapter](communities={key: "harbour"})


@adapters
def test_communities__an_id_of_the_other_sign_is_refused(adapter: str) -> None:
    """On Telegram the sign is easily lost; the id is then that of an account."""
    key = -int(IDS[adapter])
    with pytest.raises(ConfigError, match=rf"{key} cannot be the id .* it is a (negative|positive) number"):
        ADAPTERS[adapter](communities={key: "harbour"})


@adapters
def test_communities__one_id_with_two_names_is_refused(adapter: str) -> None:
    """The number and the text are the same id."""
    key = IDS[adapter]
    with pytest.raises(ConfigError, match=rf"communities: {key} has two names, 'a' and 'b'; remove one"):
        ADAPTERS[adapter](communities={key: "a", int(key): "b"})


@adapters
@pytest.mark.parametrize("given", ["harbour", [10], {10}, 10])
def test_communities__that_are_no_mapping_are_refused(adapter: str, given: object) -> None:
    """The error shows what to write."""
    with pytest.raises(ConfigError, match="communities: must map ids to names"):
        ADAPTERS[adapter](communities=given)


@adapters
@pytest.mark.parametrize(
    "given", ["quay", "", "1/2/3", "/5", "-1001/", "-1001/x", "-1001/0", 1.0, None, True, 0, 2**64, b"10", "10/5"]
)
def test_ignored_channels__ids_that_no_channel_can_have_are_refused(adapter: str, given: object) -> None:
    """Otherwise the channel would not be ignored. Only Telegram has topics, and only ids of chats are negative."""
    with pytest.raises(ConfigError, match=r"ignored_channels: .* cannot be the id of a channel; on .* it looks like"):
        ADAPTERS[adapter](ignored_channels=[IDS[adapter], given])


@adapters
@pytest.mark.parametrize("given", ["10", 10, {10: "harbour"}, b"10"])
def test_ignored_channels__that_are_no_list_are_refused(adapter: str, given: object) -> None:
    """A text is not a list of its characters."""
    with pytest.raises(ConfigError, match="ignored_channels: must be a list of ids; got"):
        ADAPTERS[adapter](ignored_channels=given)


@adapters
def test_publisher__that_cannot_take_events_is_refused(adapter: str) -> None:
    """Otherwise every event would be lost later, with a line in the log."""
    closed = Publisher()
    closed.close()
    with pytest.raises(ConfigError, match="publisher: it is closed"):
        ADAPTERS[adapter](publisher=closed)
    for wrong in (Publisher, "redis://127.0.0.1"):
        with pytest.raises(ConfigError, match=r"publisher: must be an object of .*Publisher; got"):
            ADAPTERS[adapter](publisher=wrong)


@adapters
@pytest.mark.parametrize("value", ["false", "no", 0, None])
def test_flags__are_true_or_false(adapter: str, value: object) -> None:
    """Python takes the text `false` as true, so it would turn the option on."""
    flag = "record_authors" if adapter in {"cog", "attach"} else "member_commands"
    with pytest.raises(ConfigError, match=f"{flag}: must be True or False; got"):
        ADAPTERS[adapter](**{flag: value})


@pytest.mark.parametrize(
    ("set_up", "name"),
    [
        (lambda: ParticipationCog("bot"), "bot"),  # type: ignore[arg-type]
        (lambda: attach(discord.Client), "client"),  # type: ignore[arg-type]
        (lambda: Participation().setup(aiogram.Router()), "dispatcher"),  # type: ignore[arg-type]
        (lambda: add_participation(Application.builder()), "app"),  # type: ignore[arg-type]
    ],
    ids=["cog", "attach", "aiogram", "python-telegram-bot"],
)
def test_bot__of_another_kind_is_refused(set_up: Callable[[], object], name: str) -> None:
    """The error names the class that is needed."""
    with pytest.raises(ConfigError, match=rf"^{name}: must be an object of (discord|aiogram|telegram)\."):
        set_up()


@adapters
def test_options__that_are_right_are_taken(adapter: str) -> None:
    """A text of digits is an id, and a community_id may have 255 characters. An own publisher stays open."""
    publisher = Publisher()

    async def set_up() -> None:
        channels = {IDS[adapter], int(IDS[adapter])}
        ADAPTERS[adapter](communities={IDS[adapter]: "x" * 255}, publisher=publisher, ignored_channels=channels)

    asyncio.run(set_up())
    assert not publisher.is_closed
    publisher.close()
