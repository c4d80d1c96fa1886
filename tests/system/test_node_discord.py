"""The example for Discord in JavaScript, with Debian's Node, the stand-in for Discord, a real Valkey and a worker."""

import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from participation import keys
from participation.local.valkey import Valkey
from participation.store.database import connect
from tests.integration.test_discord import BEGIN, hour, react, speak, talk, told, trouble, with_cog
from tests.standins import discord_payloads as shapes
from tests.standins.discord import TOKEN, Discord, until
from tests.standins.discord_harbour import (
    ADA,
    BEN,
    CLEO,
    DORA,
    GENERAL,
    HALL,
    HOOK,
    ROBOT,
    ROOM,
    THREAD,
    WAVE,
    harbour,
    online,
    play,
)
from tests.standins.discord_payloads import Channel, Guild
from tests.system.node_bots import NodeBot, events, identity, names, node_bot, queued
from tests.worker import at_rest, eventually, running


@pytest.fixture
def bot(node_program: Path, valkey: Valkey, redis: Redis, tmp_path: Path) -> Iterator[NodeBot]:
    where = {"REDIS_URL": valkey.url, "DISCORD_TOKEN": TOKEN}
    with node_bot(node_program, tmp_path, "discord-bot.js", **where) as bot:
        yield bot


@asynccontextmanager
async def started(
    bot: NodeBot, platform: Discord, end: signal.Signals = signal.SIGTERM, **more: str
) -> AsyncIterator[None]:
    """Run the bot until the block ends, and then send it a signal. The block starts when the bot has its guilds."""
    before = platform.identified
    bot.launch(DISCORD_API_URL=f"http://127.0.0.1:{platform.port}/api", **more)
    assert bot.process is not None
    process = bot.process
    await until(lambda: platform.identified > before or process.poll() is not None)
    assert process.poll() is None, bot.log
    await platform.settle()
    yield
    await platform.settle()
    process.send_signal(end)
    await until(lambda: process.poll() is not None)
    assert process.returncode == (-end if end is signal.SIGKILL else 0), bot.log


def test_discord__the_scripted_hour(bot: NodeBot, redis: Redis) -> None:
    """The hour of the Python adapter's test, with every special case, gives the same events, each once."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with started(bot, platform):
            for part in (talk, react, speak, trouble):
                await part(platform, guild)
        platform.sit(guild, ADA, None)
        async with started(bot, platform):
            await platform.voice(guild, BEN, None)

    play(scenario)
    sent = events(redis)
    assert told(sent) == hour()
    assert "event_lost" not in bot.log
    joined = next(each.occurred_at for each in sent if each.event_type == "MEMBER_JOINED")
    assert joined == BEGIN + timedelta(minutes=3, microseconds=123_456)


async def everything(platform: Discord, guild: Guild) -> None:
    """Let one of each kind of event happen, with ids that are the same in every run."""
    await platform.message(guild, GENERAL, ADA, at=BEGIN, id="1221145678901234567")
    await platform.message(guild, GENERAL, HOOK, id="1221145678901234568", webhook_id="77")
    await platform.thread(guild, GENERAL, THREAD)
    await platform.message(guild, THREAD, BEN, id="1221145678901234569", type=19)
    for emoji in ("👍", WAVE):
        await platform.react(guild, GENERAL, BEN, 1_221_145_678_901_234_000, emoji, author=ADA)
        await platform.unreact(guild, GENERAL, BEN, 1_221_145_678_901_234_000, emoji)
    await platform.react(guild, GENERAL, ROBOT, 1_221_145_678_901_234_000, "👍", author=ADA)
    await platform.voice(guild, ADA, HALL)
    await platform.voice(guild, ADA, ROOM)
    await platform.delete_channel(guild, ROOM)
    await platform.join(guild, DORA, BEGIN + timedelta(microseconds=123_456))
    await platform.leave(guild, CLEO)


def test_discord__its_events_are_those_of_the_adapter(
    bot: NodeBot, redis: Redis, valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same updates give the same event ids as in the Python adapter, also for a message that is not cached.

    Where Discord tells no time, everything but the time is the same.
    """
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / "python"))

    async def in_python(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(await with_cog()):
            await everything(platform, guild)
            await platform.settle()

    async def in_javascript(platform: Discord) -> None:
        guild = harbour(platform)
        async with started(bot, platform):
            await everything(platform, guild)

    play(in_python)
    python = Counter((identity(each), each.actor_kind) for each in events(redis))
    assert sum(python.values()) == 16
    redis.delete(keys.EVENTS)
    play(in_javascript)
    assert Counter((identity(each), each.actor_kind) for each in events(redis)) == python


def test_discord__metadata_says_what_was_answered_and_where(bot: NodeBot, redis: Redis) -> None:
    """A forward and a system message with a reference are no replies. There is no text."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        guild.channels[GENERAL] = InCategory(GENERAL, shapes.TEXT)
        reference = {"message_id": "5", "channel_id": str(GENERAL), "guild_id": "10"}
        async with started(bot, platform):
            await platform.thread(guild, GENERAL, THREAD)
            answered: dict[str, Any] = {"type": 19, "message_reference": {"type": 0, **reference}, "content": "secret"}
            await platform.message(guild, GENERAL, ADA, id="11", **answered)
            await platform.message(guild, THREAD, ADA, id="12", **answered)
            forward: dict[str, Any] = {"message_reference": {"type": 1, **reference}}
            await platform.message(guild, GENERAL, ADA, id="13", **forward)

    play(scenario)
    assert {each.object_id: each.metadata for each in events(redis) if each.event_type == "MESSAGE_SENT"} == {
        "11": {"category_id": "90", "reply_to": "5"},
        "12": {"category_id": "90", "parent_id": "100", "reply_to": "5"},
        "13": {"category_id": "90"},
    }


class InCategory(Channel):
    """A text channel in the category 90."""

    def payload(self, guild_id: int) -> dict[str, Any]:
        return super().payload(guild_id) | {"parent_id": "90"}


def test_discord__names_are_told_when_they_are_new(bot: NodeBot, redis: Redis) -> None:
    """Nicknames, channels with their parents, whether everybody may read them, and the guild: each once."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        guild.channels[GENERAL] = InCategory(GENERAL, shapes.TEXT)
        guild.channels[101] = Channel(101, shapes.TEXT, is_hidden=True)
        async with started(bot, platform):
            await until(lambda: ("channel", "101") in names(redis))
            await platform.thread(guild, 101, THREAD)
            for _ in range(2):
                await platform.message(guild, GENERAL, ADA)
                await platform.message(guild, GENERAL, HOOK, webhook_id="77")
            for user in (ADA, CLEO):
                member = guild.member(user) | {"guild_id": "10", "nick": "Captain"}
                await platform.dispatch("GUILD_MEMBER_UPDATE", member)
            await platform.dispatch("CHANNEL_UPDATE", guild.channels[HALL].payload(10) | {"name": "Great hall"})

    play(scenario)
    found = {key: without(each) for key, each in names(redis).items()}
    told_accounts = {"1": ("Captain", "ada"), "2": ("ben", "ben")}  # Cleo did nothing; a webhook's name is no person's
    assert {key[1]: (each["name"], each["username"]) for key, each in found.items() if key[0] == "account"} == (
        told_accounts
    )
    assert found["account", "1"]["joined_at"] == "2026-01-01T00:00:00+00:00"
    common = {"platform": "discord", "community_id": "discord:10"}
    assert found["space", "10"] == common | {"kind": "space", "id": "10", "name": "g10"}
    assert {key[1]: shape(each) for key, each in found.items() if key[0] == "channel"} == {
        "100": ("c100", None, "90", True),
        "101": ("c101", None, None, False),
        "110": ("c110", "101", None, False),
        "120": ("c120", None, None, True),
        "200": ("Great hall", None, None, True),
        "209": ("c209", None, None, True),
        "299": ("c299", None, None, True),
    }
    said = Counter((each["kind"], each["id"], each["name"]) for all_ in queued(redis, keys.NOTE_NAMES) for each in all_)
    assert set(said.values()) == {1}


def without(name: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in name.items() if field != "seen_at"}


def shape(name: dict[str, Any]) -> tuple[Any, ...]:
    return name["name"], name.get("parent_id"), name.get("category_id"), name["is_public"]


def test_discord__voice_is_told_in_rounds(bot: NodeBot, redis: Redis) -> None:
    """Everybody in voice is present at the start, in each round, and when the bot ends."""

    async def scenario(platform: Discord) -> None:
        harbour(platform)
        async with started(bot, platform, VOICE_ROUND_SECONDS="0.1"):
            await until(lambda: len(events(redis)) > 3)

    play(scenario)
    assert {(each.event_type, each.member_id, each.channel_id) for each in events(redis)} == {
        ("VOICE_PRESENT", "2", "209")
    }


def test_discord__a_new_session_invents_no_leave(bot: NodeBot, redis: Redis) -> None:
    """After a new session, only who is in voice now is recorded."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        platform.sit(guild, ADA, HALL)
        async with started(bot, platform):
            async with platform.forgotten():
                platform.sit(guild, BEN, None)
                platform.sit(guild, ADA, ROOM)
            await platform.voice(guild, BEN, HALL)

    play(scenario)
    found = [(each.event_type.value, each.channel_id) for each in events(redis) if each.member_id == "2"]
    assert found == [("VOICE_PRESENT", "209"), ("VOICE_JOINED", "200"), ("VOICE_PRESENT", "200")]


def test_discord__a_worker_stores_all_of_it(
    bot: NodeBot, redis: Redis, environment: None, database: str, tmp_path: Path
) -> None:
    """Events, names and presence are in the tables. No message is a dead letter."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with started(bot, platform):
            await everything(platform, guild)
            await platform.remove_guild(guild)

    play(scenario)
    number = len(events(redis))
    engine = connect(database)
    with running(tmp_path / "worker.log"):
        eventually(lambda: at_rest(redis, engine, number))
    counts = dict(read(engine, "SELECT event_type, count(*) FROM participation_events GROUP BY 1"))
    assert counts["MESSAGE_SENT"] == 3
    assert sum(counts.values()) == number
    assert read(engine, "SELECT name FROM account_names ORDER BY 1") == [("ada",), ("ben",), ("dora",), ("robot",)]
    assert read(engine, "SELECT name, parent_id FROM channel_names WHERE channel_id = '110'") == [("c110", "100")]
    assert read(engine, "SELECT space_id, is_present FROM community_bots") == [("10", False)]
    assert read(engine, "SELECT detail FROM dead_letters") == []
    engine.dispose()


def read(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_discord__redis_away_and_a_restart_lose_nothing(
    number: signal.Signals, node_program: Path, tmp_path: Path
) -> None:
    """Redis goes away, the bot ends, Redis comes back, and the next start sends what the bot had, once and in order."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with started(bot, platform, number):
            own.stop()
            for object_id in range(11, 111):
                await platform.message(guild, GENERAL, ADA, id=str(object_id))
            await until(lambda: "redis_unavailable" in bot.log)
        assert len(bot.spooled()) == 1
        own.start()
        async with started(bot, platform):
            await platform.message(guild, GENERAL, ADA, id="111")

    with Valkey(tmp_path / "valkey") as own, Redis.from_url(own.url) as client:
        where = {"REDIS_URL": own.url, "DISCORD_TOKEN": TOKEN}
        with node_bot(node_program, tmp_path, "discord-bot.js", **where) as bot:
            play(scenario)
            sent = [int(each.object_id or 0) for each in events(client) if each.event_type == "MESSAGE_SENT"]
    assert sent == [*range(11, 112)]
    assert bot.spooled() == []
