"""Programs that record Discord, each in its own process: the bundled bot with its self-check, and the example."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import discord
import pytest
from redis import Redis

from participation import event, keys
from participation.bots.discord import self_check as checks
from participation.bots.member_answers import COMMANDS
from participation.local.valkey import Valkey
from tests.standins.discord import TOKEN, Discord, standing_in, until
from tests.standins.discord_harbour import ADA, BEN, FORUM, GENERAL, HALL, ROOM, harbour, online, play
from tests.standins.discord_payloads import registered
from tests.worker import SECONDS, queued

PROGRAM: Final = Path(sys.executable).with_name("participation")
EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "discord_bot.py"


@pytest.fixture(autouse=True)
def queue(redis: Redis, valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """Return the Redis that the programs find in their settings. No worker runs."""
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("PARTICIPATION_DISCORD_TOKEN", TOKEN)
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    return redis


def sent(queue: Redis) -> list[tuple[Any, ...]]:
    """Return the events that a program has sent to Redis, in order."""
    events = [event.decode(each) for each in queued(queue, keys.TRACK_EVENT)]
    return [(each.event_type.value, each.member_id, each.channel_id) for each in events]


async def start(platform: Discord, file: Path, *arguments: str, **environment: str) -> Process:
    words = (sys.executable, "-m", "tests.standins.discord", str(platform.port), str(file), *arguments)
    return await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=PIPE, env=os.environ | environment)


Prepare = Callable[[Discord], object]
VARIABLE: Final = "PARTICIPATION_DISCORD_TOKEN"
WRONG: Final = "wr0ng.token"


def check(*cases: tuple[Prepare, str]) -> list[tuple[int | None, list[str]]]:
    """Run the check in each case, all at the same time. Return the exit codes and the printed lines."""

    async def one(prepare: Prepare, token: str) -> tuple[int | None, list[str]]:
        async with standing_in() as platform:
            prepare(platform)
            process = await start(platform, PROGRAM, "bot", "discord", "--check", **{VARIABLE: token})
            out, err = await asyncio.wait_for(process.communicate(), SECONDS)
        assert token not in (out + err).decode()
        return process.returncode, (out or err.splitlines()[-1]).decode().splitlines()

    async def all_of_them() -> list[tuple[int | None, list[str]]]:
        return [*await asyncio.gather(*(one(*case) for case in cases))]

    return asyncio.run(all_of_them())


def with_a_hidden_forum(platform: Discord) -> None:
    harbour(platform).channels[FORUM].is_hidden = True


def without_members(platform: Discord) -> None:
    harbour(platform)
    platform.may_have_members = False


def test_check__tells_what_is_missing_and_records_nothing(queue: Redis) -> None:
    """The exit code is 0 if nothing is missing, and 2 without the privileged intent or with a wrong token."""
    complete, without, wrong = check((with_a_hidden_forum, TOKEN), (without_members, TOKEN), (harbour, WRONG))
    me = "discord: harbour, application 901"
    hidden = "hidden: guild g10 (10): the bot cannot view 1 channel(s): #c120"
    assert complete == (0, [me, hidden, "nothing is missing in 1 guild(s)"])
    assert without == (
        2,
        [
            me,
            "missing: intent members: joins and leaves of members are not seen; turn on `Server Members Intent` under "
            "Bot at https://discord.com/developers/applications, and start the bot again",
        ],
    )
    code, (line,) = wrong
    assert code == 2
    assert line.startswith("error: PARTICIPATION_DISCORD_TOKEN: Discord does not know this token: reset it under")
    assert sent(queue) == []


def test_check__guilds_in_which_nothing_is_seen() -> None:
    """The check names a guild in which the bot sees no text channel. If the bot is in no guild, it prints a link."""
    found: list[str] = []

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        guild.permissions = 0
        bot = discord.Client(intents=discord.Intents.default(), guild_ready_timeout=0.02)
        async with online(bot):
            found.extend([*checks.guilds(bot), *checks.hidden(bot)])
            await platform.remove_guild(guild)
            await platform.settle()
            found.extend(checks.guilds(bot))

    play(scenario)
    blind, nowhere = found
    assert blind == (
        "guild g10 (10): the bot cannot view any text channel, so it does not see messages and reactions there; give "
        "its role the permission `View Channels`"
    )
    assert nowhere.startswith("guilds: the bot is in no guild, so it sees nothing; add it to one: https://discord.com/")
    assert "client_id=901" in nowhere
    assert "permissions=1024" in nowhere


@asynccontextmanager
async def running(platform: Discord, file: Path, *arguments: str) -> AsyncIterator[Process]:
    """Run a program. The block starts when the program is in its guilds. After it, the program must end with code 0."""
    process = await start(platform, file, *arguments)
    try:
        await until(lambda: platform.identified > 0 or process.returncode is not None)
        yield process
        _, err = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert TOKEN not in err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run__records_and_stops_cleanly(queue: Redis, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled bot records until a signal, and then records who is in voice. It adds the member commands."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://asked.by.nobody/yet")

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with running(platform, PROGRAM, "bot", "discord", "--member-commands") as process:
            await until(lambda: len(sent(queue)) == 1)
            await platform.message(guild, GENERAL, ADA)
            await platform.settle()
            process.send_signal(number)
        assert {command["name"] for command in platform.commands} == {*COMMANDS}
        assert {method for method, _ in platform.command_changes} == {"POST"}

    play(scenario)
    assert sent(queue) == [
        ("VOICE_PRESENT", "2", "209"),
        ("MESSAGE_SENT", "1", "100"),
        ("VOICE_PRESENT", "2", "209"),
    ]


STATION: Final = {"type": 3, "name": "station", "description": "Which one"}
RADIO: Final = {"name": "radio", "description": "Play a station", "options": [STATION]}
MENU: Final = {"name": "privacy", "type": 3}
"""A command of another type may have the same name."""


async def run_once(platform: Discord, *arguments: str) -> list[str]:
    """Start the bundled bot and stop it. Return the lines that it printed about commands."""
    before = platform.identified
    process = await start(platform, PROGRAM, "bot", "discord", *arguments)
    await until(lambda: platform.identified > before or process.returncode is not None)
    if "--check" not in arguments:
        process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, err.decode()
    return [line for line in out.decode().splitlines() if line.startswith("commands: ")]


def test_commands__of_a_bot_that_exists_stay(queue: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours are added one by one, sent once, and removed one by one when the option is gone. The check changes none."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://asked.by.nobody/yet")
    listed = ", ".join(f"/{name}" for name in COMMANDS)

    async def scenario(platform: Discord) -> None:
        harbour(platform)
        theirs = [registered(RADIO | {"description_localizations": {"de": "x"}}), registered(MENU)]
        platform.commands = [*theirs]
        assert await run_once(platform, "--member-commands") == [f"commands: added or changed {listed}"]
        assert platform.commands[:2] == theirs
        assert {each["name"]: each["description"] for each in platform.commands[2:]} == COMMANDS
        assert len(platform.command_changes) == len(COMMANDS)
        assert await run_once(platform, "--member-commands") == []
        assert await run_once(platform, "--check") == []
        assert len(platform.command_changes) == len(COMMANDS)
        (removed,) = await run_once(platform)
        assert removed == f"commands: removed {listed}, because the bot was started without --member-commands"
        assert platform.commands == theirs

    play(scenario)


def test_commands__one_that_differs_is_changed_and_is_never_removed(
    queue: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot's own /privacy is replaced when ours is turned on. Without the option it is not ours, and stays."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://asked.by.nobody/yet")
    ours = [registered({"name": name, "description": text}) for name, text in COMMANDS.items()]
    own = registered({"name": "privacy", "description": COMMANDS["privacy"], "options": RADIO["options"]})

    async def scenario(platform: Discord) -> None:
        harbour(platform)
        platform.commands = [own]
        assert await run_once(platform) == []
        assert platform.commands == [own]
        platform.commands = [own, *ours[1:]]
        assert await run_once(platform, "--member-commands") == ["commands: added or changed /privacy"]
        assert platform.command_changes == [("POST", "/applications/901/commands")]
        assert platform.commands[:-1] == ours[1:]
        assert platform.commands[-1]["options"] == []

    play(scenario)


def test_run__sends_nothing_of_an_ignored_channel(queue: Redis) -> None:
    """The option can be repeated. Other channels are recorded."""
    options = ("--ignore-channel", str(GENERAL), "--ignore-channel", str(ROOM))

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with running(platform, PROGRAM, "bot", "discord", *options) as process:
            await platform.message(guild, GENERAL, ADA)
            await platform.voice(guild, ADA, HALL)
            await platform.settle()
            await until(lambda: bool(sent(queue)))
            process.send_signal(signal.SIGINT)

    play(scenario)
    assert sent(queue) == [("VOICE_JOINED", "1", "200"), ("VOICE_PRESENT", "1", "200")]


def test_example__answers_and_records(queue: Redis) -> None:
    """The example answers, and everything is recorded."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with running(platform, EXAMPLE) as process:
            await until(lambda: len(sent(queue)) == 1)
            await platform.message(guild, GENERAL, ADA, content="<@900> hello")
            await platform.voice(guild, BEN, None)
            await platform.voice(guild, ADA, ROOM)
            await platform.settle()
            await until(lambda: bool(platform.posted))
            process.send_signal(signal.SIGINT)
        assert [each["content"] for each in platform.posted] == ["Hello, ada!"]

    play(scenario)
    assert sent(queue) == [
        ("VOICE_PRESENT", "2", "209"),
        ("MESSAGE_SENT", "1", "100"),
        ("VOICE_LEFT", "2", "209"),
        ("VOICE_JOINED", "1", "209"),
        ("VOICE_PRESENT", "1", "209"),
    ]


def test_example__is_short() -> None:
    """The example has fewer than 40 lines."""
    assert len(EXAMPLE.read_text().splitlines()) < 40
