"""The names that the real discord.py tells, what ignored channels leave out, and large guilds, as far as Redis."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import discord
import pytest
from redis import Redis

from participation import keys
from participation.bots.discord import attach, names
from participation.local.valkey import Valkey
from participation.publish import Publisher
from tests.standins import discord_payloads as shapes
from tests.standins.discord import Discord, until
from tests.standins.discord_harbour import ADA, BEN, CLEO, DORA, GENERAL, HALL, HOOK, POST, THREAD, online, play
from tests.standins.discord_payloads import Channel, Guild, User
from tests.worker import queued

CATEGORY, OFFICE, FORUM, SECRET, ROOM = 50, 130, 120, 111, 209
JOINED = "2026-01-01T00:00:00Z"


@pytest.fixture
def redis(valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Redis]:
    """A database of the server that no worker reads."""
    url = valkey.url.rsplit("/", 1)[0] + "/6"
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / "spool"))
    with Redis.from_url(url) as client:
        client.flushdb()
        yield client


class Client(discord.Client):
    def __init__(self, *, members: bool = True, **options: Any) -> None:
        intents = discord.Intents.default()
        intents.members = members
        super().__init__(intents=intents, guild_ready_timeout=0.02)
        attach(self, **options)


def told(redis: Redis, kind: str) -> list[tuple[str, str]]:
    """Return the ids and names of one kind, in order."""
    all_names = [name for notice in queued(redis, keys.NOTE_NAMES) for name in notice]
    return [(name["id"], name["name"]) for name in all_names if name["kind"] == kind]


def entries(redis: Redis, kind: str) -> dict[str, dict[str, Any]]:
    """Return the latest names of one kind by their id, without what all of them have."""
    left_out = {"kind", "community_id", "platform", "id", "seen_at"}
    all_names = [name for notice in queued(redis, keys.NOTE_NAMES) for name in notice if name["kind"] == kind]
    assert {(name["platform"], name["community_id"]) for name in all_names} <= {("discord", "discord:10")}
    return {name["id"]: {key: value for key, value in name.items() if key not in left_out} for name in all_names}


def harbour(platform: Discord) -> Guild:
    """Create a guild with a category, a public and a hidden channel, a forum and voice."""
    guild = platform.guild(10, ADA, BEN, CLEO, text=GENERAL, voice=(HALL, ROOM))
    guild.name = "The Harbour"
    guild.channels[CATEGORY] = Channel(CATEGORY, shapes.CATEGORY, name="Water")
    guild.channels[GENERAL] = Channel(GENERAL, shapes.TEXT, name="quay", category_id=CATEGORY)
    guild.channels[OFFICE] = Channel(OFFICE, shapes.TEXT, name="office", is_hidden=True)
    guild.channels[FORUM] = Channel(FORUM, shapes.FORUM, name="boats")
    return guild


async def settled(platform: Discord) -> None:
    """Let the bot's library dispatch all updates, and let the task that tells the names of guilds run."""
    await platform.settle()
    for _ in range(50):
        await asyncio.sleep(0)


def test_names__of_a_guild_its_channels_and_members(redis: Redis) -> None:
    """Threads are as public as their channel, and private threads never are."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        guild.nicks[BEN.id] = "Captain"
        async with online(Client()):
            await platform.thread(guild, GENERAL, THREAD, name="repairs")
            await platform.thread(guild, GENERAL, SECRET, shapes.PRIVATE_THREAD, "surprise")
            await platform.thread(guild, FORUM, POST, name="my boat")
            await platform.thread(guild, OFFICE, 131, name="salaries")
            await settled(platform)

    play(scenario)
    assert entries(redis, "space") == {"10": {"name": "The Harbour"}}
    assert entries(redis, "channel") == {
        "50": {"name": "Water", "is_public": True},
        "100": {"name": "quay", "category_id": "50", "is_public": True},
        "110": {"name": "repairs", "parent_id": "100", "category_id": "50", "is_public": True},
        "111": {"name": "surprise", "parent_id": "100", "category_id": "50", "is_public": False},
        "120": {"name": "boats", "is_public": True},
        "121": {"name": "my boat", "parent_id": "120", "is_public": True},
        "130": {"name": "office", "is_public": False},
        "131": {"name": "salaries", "parent_id": "130", "is_public": False},
        "200": {"name": "c200", "is_public": True},
        "209": {"name": "c209", "is_public": True},
    }
    assert entries(redis, "account") == {
        "1": {"name": "ada", "username": "ada", "joined_at": JOINED},
        "2": {"name": "Captain", "username": "ben", "joined_at": JOINED},
        "3": {"name": "cleo", "username": "cleo", "joined_at": JOINED},
        "900": {"name": "harbour", "username": "harbour", "joined_at": JOINED},
    }


def test_names__are_told_once_and_when_they_change(redis: Redis) -> None:
    """Messages, reactions and voice tell no name again. Two members may be called the same."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(Client()):
            for _ in range(3):
                await platform.message(guild, GENERAL, ADA)
                await platform.react(guild, GENERAL, BEN, 5000, "👍", author=ADA)
                await platform.voice(guild, CLEO, HALL)
                await platform.voice(guild, CLEO, None)
            await platform.rename(guild, BEN, "Skipper")
            await platform.rename(guild, ADA, "Skipper")
            await platform.rename(guild, User(1, "ada.l", global_name="Ada Lovelace"))
            await platform.outage(guild)
            await platform.outage_over(guild)
            await platform.join(guild, DORA, datetime(2026, 3, 1, tzinfo=UTC))
            await settled(platform)

    play(scenario)
    first, later = told(redis, "account")[:4], told(redis, "account")[4:]
    assert sorted(first) == [("1", "ada"), ("2", "ben"), ("3", "cleo"), ("900", "harbour")]
    assert later == [("2", "Skipper"), ("1", "Skipper"), ("1", "Ada Lovelace"), ("5", "dora")]
    assert entries(redis, "account")["1"]["username"] == "ada.l"
    assert entries(redis, "account")["5"]["joined_at"] == "2026-03-01T00:00:00Z"


def test_names__of_channels_follow_their_changes(redis: Redis) -> None:
    """Hiding a channel hides its threads, and taking a right from everybody hides all channels."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(Client()):
            await platform.thread(guild, GENERAL, THREAD, name="repairs")
            await platform.change(guild, Channel(THREAD, shapes.PUBLIC_THREAD, GENERAL, name="repairs done"))
            await platform.change(guild, Channel(GENERAL, shapes.TEXT, name="pier", is_hidden=True))
            await platform.change(guild, Channel(140, shapes.TEXT, name="new"))
            await settled(platform)
            guild.name, guild.permissions = "Port", 0
            await platform.change_guild(guild)
            await settled(platform)

    play(scenario)
    found = entries(redis, "channel")
    assert found["100"] == {"name": "pier", "is_public": False}
    assert found["110"] == {"name": "repairs done", "parent_id": "100", "is_public": False}
    assert {channel["is_public"] for channel in found.values()} == {False}
    assert ("140", "new") in told(redis, "channel")
    assert told(redis, "space") == [("10", "The Harbour"), ("10", "Port")]


def test_names__come_with_what_members_do_without_the_members_intent(redis: Redis) -> None:
    """The library then knows nobody but the bot and who is in voice. Webhooks have no name of their own."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        guild.nicks[ADA.id] = "Admiral"
        async with online(Client(members=False)):
            await platform.message(guild, GENERAL, ADA)
            await platform.message(guild, GENERAL, HOOK, webhook_id="77")
            await platform.react(guild, GENERAL, BEN, 5000, "👍", author=ADA)
            await platform.voice(guild, CLEO, HALL)
            guild.nicks[ADA.id] = "Admiral Ada"
            await platform.message(guild, GENERAL, ADA)
            await settled(platform)

    play(scenario)
    expected = [("1", "Admiral"), ("2", "ben"), ("3", "cleo"), ("1", "Admiral Ada")]
    assert [each for each in told(redis, "account") if each[0] != "900"] == expected


def test_events__say_what_they_answer_and_where_they_are(redis: Redis) -> None:
    """A forward and a post that another channel publishes refer to a message, but answer none."""

    def reference(message_id: int, channel_id: int = GENERAL, kind: int = 0) -> dict[str, Any]:
        to = {"message_id": str(message_id), "channel_id": str(channel_id), "guild_id": "10", "type": kind}
        return {"message_reference": to}

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(Client()):
            await platform.thread(guild, GENERAL, THREAD)
            await platform.message(guild, GENERAL, ADA, type=19, **reference(5000))
            await platform.message(guild, THREAD, ADA, type=19, **reference(5001, THREAD))
            await platform.message(guild, OFFICE, ADA, **reference(5000, OFFICE, kind=1))
            await platform.message(guild, OFFICE, ADA, **reference(5000, GENERAL))
            await platform.react(guild, GENERAL, BEN, 5000, "👍", author=ADA)
            await settled(platform)

    play(scenario)
    assert [event.get("metadata", {}) for event in queued(redis, keys.TRACK_EVENT)] == [
        {"reply_to": "5000", "category_id": "50"},
        {"reply_to": "5001", "parent_id": "100", "category_id": "50"},
        {},
        {},
        {"emoji": "👍", "category_id": "50"},
    ]


def test_voice__tells_when_a_member_deafens(redis: Redis) -> None:
    """To mute, or to be deafened by a moderator, is no transition."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(Client()):
            await platform.voice(guild, ADA, HALL)
            await platform.voice(guild, ADA, HALL, self_mute=True)
            await platform.voice(guild, ADA, HALL, deaf=True)
            await platform.voice(guild, ADA, HALL, self_mute=True, self_deaf=True)
            await platform.voice(guild, ADA, ROOM, self_mute=True, self_deaf=True)
            await platform.voice(guild, ADA, ROOM)
            await platform.voice(guild, ADA, None)
            await settled(platform)

    play(scenario)
    events = [(e["event_type"], e["channel_id"], e.get("metadata", {})) for e in queued(redis, keys.TRACK_EVENT)]
    assert events == [
        ("VOICE_JOINED", "200", {}),
        ("VOICE_PRESENT", "200", {"deaf": True}),
        ("VOICE_LEFT", "200", {}),
        ("VOICE_JOINED", "209", {"deaf": True}),
        ("VOICE_PRESENT", "209", {}),
        ("VOICE_LEFT", "209", {}),
    ]


@pytest.mark.parametrize("ignored", [[CATEGORY, FORUM, ROOM], ["50", "120", "209"]])
def test_ignored__nothing_leaves_the_bot(redis: Redis, ignored: list[Any]) -> None:
    """An id covers threads, posts and the channels of a category. Who acts there only is not named."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        platform.sit(guild, BEN, ROOM)
        async with online(Client(members=False, ignored_channels=ignored)):
            await platform.thread(guild, GENERAL, THREAD, name="secret")
            await platform.thread(guild, FORUM, POST, name="secret")
            for channel_id in (GENERAL, THREAD, POST, 999):
                await platform.message(guild, channel_id, ADA)
                await platform.react(guild, channel_id, ADA, 5000, "👍", author=BEN)
            await platform.change(guild, Channel(FORUM, shapes.FORUM, name="secret"))
            await platform.voice(guild, CLEO, HALL)
            await platform.voice(guild, CLEO, ROOM, self_deaf=True)
            await platform.voice(guild, CLEO, None)
            await platform.message(guild, OFFICE, CLEO)
            await settled(platform)

    play(scenario)
    events = [(e["event_type"], e["channel_id"], e["member_id"]) for e in queued(redis, keys.TRACK_EVENT)]
    assert events == [
        *[("VOICE_JOINED", "200", "3"), ("VOICE_LEFT", "200", "3")],
        ("MESSAGE_SENT", "130", "3"),
    ]
    assert sorted(told(redis, "channel")) == [("130", "office"), ("200", "c200")]
    assert ("1", "ada") not in told(redis, "account")


def test_large_guild__is_told_in_slices(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two slices the bot runs. The members travel in lists of 500."""
    sizes: list[int] = []
    runs: list[int] = []
    seen = names.seen

    def counted(community: Any, subjects: Any, ignored: Any) -> Any:
        sizes.append(len(subjects))
        runs.append(turns)
        return seen(community, subjects, ignored)

    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        guild.members |= {number: User(number, f"member {number}") for number in range(10_000, 20_000)}
        other = asyncio.create_task(turn())
        async with online(Client()):
            while len(told(redis, "account")) < 10_004:
                await asyncio.sleep(0.05)
        other.cancel()

    monkeypatch.setattr(names, "seen", counted)
    play(scenario)
    assert max(sizes) == names.SLICE
    assert len(sizes) == 101
    assert all(after > before for before, after in pairwise(runs))
    lengths = [len(notice) for notice in queued(redis, keys.NOTE_NAMES)]
    assert max(lengths) == 500
    assert len(lengths) == 21


def test_large_guild__waits_while_much_waits_for_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis: Redis
) -> None:
    """The names of a guild take no place of events in memory and on disk. When Redis is back, they are told."""
    monkeypatch.setattr(names, "BEHIND", 5)
    monkeypatch.setattr(names, "RETRY_SECONDS", 0.01)
    with Valkey(tmp_path / "valkey") as valkey, Redis.from_url(valkey.url) as queue:
        monkeypatch.setenv("REDIS_URL", valkey.url)
        valkey.stop()

        async def scenario(platform: Discord) -> None:
            guild = harbour(platform)
            publisher = Publisher()
            async with online(Client(publisher=publisher)):
                for _ in range(10):
                    await platform.react(guild, GENERAL, DORA, 5000, "👍", author=ADA)
                    await platform.unreact(guild, GENERAL, DORA, 5000, "👍")
                await settled(platform)
                await platform.outage(guild)
                guild.members |= {number: User(number, f"member {number}") for number in range(10_000, 11_000)}
                await platform.outage_over(guild)
                await settled(platform)
                before = publisher.counters().tracked
                await asyncio.sleep(0.1)
                assert publisher.counters().tracked == before
                valkey.start()
                await until(lambda: len(told(queue, "account")) == 1_005)
            await asyncio.to_thread(publisher.close)

        play(scenario)
