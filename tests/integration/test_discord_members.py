"""The member commands on Discord, with the real discord.py and a real database."""

from collections import Counter
from typing import Any

import discord
import orjson
import pytest
from discord.ext import commands
from sqlalchemy import Engine, text

from participation.bots.discord import MemberCommands
from participation.bots.member_answers import COMMANDS
from tests.rows import event, put
from tests.standins.discord import Discord, until
from tests.standins.discord_harbour import ADA, harbour, online, play
from tests.standins.discord_payloads import Guild

EPHEMERAL = 64


class Bot(commands.Bot):
    def __init__(self) -> None:
        super().__init__(commands.when_mentioned, intents=discord.Intents.default(), guild_ready_timeout=0.02)

    async def setup_hook(self) -> None:
        await self.add_cog(MemberCommands())
        await self.tree.sync()


@pytest.fixture(autouse=True)
def database(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store three messages of Ada and one of Ben. The bot finds the database in its settings."""
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    by_ada = [event(platform="discord", member_id="1", object_id=str(number)) for number in range(3)]
    put(engine, [*by_ada, event(platform="discord", member_id="2", object_id="9")])


def kept(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        members = connection.scalars(text("SELECT member_id FROM participation_events"))
        return dict(Counter(members))


class Asker:
    """A member who uses commands, and reads the answers that only they can see."""

    def __init__(self, platform: Discord, guild: Guild) -> None:
        self._platform, self._guild = platform, guild

    async def ask(self, name: str, answers: int) -> list[Any]:
        """Use a command, wait for this number of answers, and return them."""
        self._platform.answers.clear()
        await self._platform.command(self._guild, ADA, name)
        await until(lambda: len(self._platform.answers) >= answers)
        first = self._platform.answers[0]
        assert first["data"]["flags"] & EPHEMERAL, "everybody can see the answer"
        return self._platform.answers

    async def press(self, label: str) -> str:
        """Press a button of the last answer, and return the new text of the answer."""
        (row,) = self._platform.answers[0]["data"]["components"]
        (button,) = [each for each in row["components"] if each["label"] == label]
        before = len(self._platform.answers)
        await self._platform.press(self._guild, ADA, button["custom_id"])
        wanted = before + (2 if label == "Erase" else 1)
        await until(lambda: len(self._platform.answers) >= wanted)
        last = self._platform.answers[-1]
        return str(last["content"] if "content" in last else last["data"]["content"])


def test_commands__what_a_member_can_ask(engine: Engine) -> None:
    """A member sees, downloads and erases their data, and opts out and in. Other members are not affected."""

    async def scenario(platform: Discord) -> None:
        asker = Asker(platform, harbour(platform))
        async with online(Bot()):
            assert {command["name"]: command["description"] for command in platform.commands} == COMMANDS
            (policy,) = await asker.ask("privacy", 1)
            assert "Never kept: what you write" in policy["data"]["content"]
            assert len(policy["data"]["content"]) <= 2000
            (_, numbers) = await asker.ask("what_is_kept", 2)
            assert "messages sent: 3" in numbers["content"]
            await asker.ask("my_data", 2)
            (file,) = platform.files
            lines = [orjson.loads(line) for line in file.splitlines()]
            assert [line["kind"] for line in lines].count("event") == 3
            await asker.ask("forget_me", 1)
            assert kept(engine) == {"1": 3, "2": 1}
            assert await asker.press("Keep") == "Nothing was erased."
            assert kept(engine) == {"1": 3, "2": 1}
            await asker.ask("forget_me", 1)
            assert (await asker.press("Erase")).startswith("Done: everything about you is erased.")
            assert kept(engine) == {"2": 1}
            await asker.ask("opt_out", 1)
            assert "From now on, nothing that you do is kept." in await asker.press("Erase")
            (_, numbers) = await asker.ask("what_is_kept", 2)
            assert numbers["content"].endswith("You have opted out. Nothing new is kept.")
            (_, back) = await asker.ask("opt_in", 2)
            assert back["content"].startswith("Welcome back")

    play(scenario)
    assert kept(engine) == {"2": 1}


def test_commands__database_away(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The member is asked to try again, and the error is in the log."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")

    async def scenario(platform: Discord) -> None:
        asker = Asker(platform, harbour(platform))
        async with online(Bot()):
            (_, answer) = await asker.ask("what_is_kept", 2)
            assert answer["content"].startswith("Sorry, I cannot reach")

    play(scenario)
    assert "member_command_failed command=what_is_kept" in caplog.text
