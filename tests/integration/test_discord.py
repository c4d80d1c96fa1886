"""The real discord.py against a stand-in for Discord, with Redis, a worker and the table."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import discord
import pytest
from discord.ext import commands
from redis import Redis
from sqlalchemy import Engine, text

from participation import keys
from participation.bots.discord import ParticipationCog, attach, listener
from participation.errors import ConfigError
from participation.local.valkey import Valkey
from participation.publish import Publisher
from tests.standins import discord_payloads as shapes
from tests.standins.discord import TOKEN, Discord, until
from tests.standins.discord_harbour import (
    ADA,
    AFK,
    BEN,
    CLEO,
    DORA,
    FORUM,
    GENERAL,
    HALL,
    HOOK,
    POST,
    ROBOT,
    ROOM,
    THREAD,
    WAVE,
    Scenario,
    harbour,
    is_online,
    online,
    play,
)
from tests.standins.discord_payloads import Channel, Guild, User
from tests.worker import eventually, queued, running

Row = tuple[str, str, str | None, str | None, str, str | None]


@pytest.fixture(scope="module")
def servers(shared_engine: Engine, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Run a worker on the tests' servers. Bots find the servers in their settings."""
    folder = tmp_path_factory.mktemp("discord")
    with pytest.MonkeyPatch.context() as patch, Redis.from_url(valkey.url) as redis:
        patch.setenv("DATABASE_URL", shared_engine.url.render_as_string(hide_password=False))
        patch.setenv("REDIS_URL", valkey.url)
        patch.setenv("PARTICIPATION_SPOOL_DIR", str(folder / "spool"))
        redis.flushall()
        with running(folder / "worker.log"):
            yield redis


class Bot(commands.Bot):
    """A bot with handlers of its own."""

    def __init__(self, *, members: bool = True, **options: Any) -> None:
        intents = discord.Intents.default()
        intents.members = members
        super().__init__(commands.when_mentioned, intents=intents, guild_ready_timeout=0.02, **options)
        self.heard: list[str] = []

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Do not wait five seconds before a second session. Only the real Discord requires this."""

    async def on_message(self, sent: discord.Message) -> None:
        self.heard.append(f"message {sent.id}")

    async def on_message_edit(self, _: discord.Message, sent: discord.Message) -> None:
        self.heard.append(f"edit {sent.id}")

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        self.heard.append(f"reaction {payload.emoji}")

    async def on_voice_state_update(
        self, member: discord.Member, _: discord.VoiceState, after: discord.VoiceState
    ) -> None:
        self.heard.append(f"voice {member.id}")

    async def on_raw_member_remove(self, payload: discord.RawMemberRemoveEvent) -> None:
        self.heard.append(f"left {payload.user.id}")


class Plain(discord.Client):
    """A client that is not a `commands.Bot`."""

    def __init__(self) -> None:
        intents = discord.Intents.default()
        intents.members = True
        super().__init__(intents=intents, guild_ready_timeout=0.02)

    before_identify_hook = Bot.before_identify_hook


async def with_cog(**options: Any) -> discord.Client:
    bot = Bot()
    bot.setup_hook = lambda: bot.add_cog(ParticipationCog(bot, **options))  # type: ignore[method-assign]
    return bot


class Sharded(discord.AutoShardedClient):
    """A client with one connection for each shard."""

    before_identify_hook = Bot.before_identify_hook


async def with_shards(**options: Any) -> discord.Client:
    client = Sharded(intents=discord.Intents.all(), guild_ready_timeout=0.02)
    attach(client, **options)
    return client


async def with_attach(**options: Any) -> discord.Client:
    client = Plain()
    attach(client, **options)
    return client


def rows(engine: Engine, redis: Redis) -> list[Any]:
    """Wait until everything is stored, and return the rows of the table in order of time."""
    # Messages move from the events to the batches. In another order, a message could be missed in both.
    eventually(lambda: not [*redis.scan_iter(f"{keys.EVENTS}*"), *redis.scan_iter("participation.batch*")])
    with engine.connect() as connection:
        dead = connection.execute(text("SELECT reason, detail FROM dead_letters")).all()
        assert dead == []
        return list(
            connection.execute(text("SELECT * FROM participation_events ORDER BY occurred_at, event_type DESC"))
        )


def told(stored: list[Any]) -> Counter[Row]:
    return Counter(
        (
            row.event_type,
            row.member_id,
            row.channel_id,
            row.metadata.get("emoji") or row.metadata.get("parent_id"),
            row.actor_kind,
            row.object_id and row.event_type[:8],
        )
        for row in stored
    )


# ---- the scripted hour ----

BEGIN: Final = (datetime.now(UTC) - timedelta(hours=1)).replace(microsecond=0)


async def talk(platform: Discord, guild: Guild) -> None:
    """Send messages that count, and messages that do not."""
    first = await platform.message(guild, GENERAL, ADA, at=BEGIN)
    reply = await platform.message(guild, GENERAL, BEN, at=BEGIN + timedelta(minutes=1), type=19)
    for kind in (1, 6, 7, 8, 18, 20, 21, 23, 24, 46, 99):
        await platform.message(guild, GENERAL, ADA, type=kind)
    await platform.message(guild, GENERAL, HOOK, webhook_id="77")
    await platform.message(guild, GENERAL, ROBOT)
    await platform.message(guild, GENERAL, ROBOT, webhook_id="78", application_id="78")
    await platform.message(None, 999, ADA)
    await platform.edit(guild, GENERAL, ADA, first)
    await platform.delete(guild, GENERAL, reply)
    await platform.thread(guild, GENERAL, THREAD)
    await platform.message(guild, THREAD, CLEO)
    await platform.thread(guild, FORUM, POST)
    await platform.message(guild, POST, CLEO)


async def react(platform: Discord, guild: Guild) -> None:
    """React with two kinds of emoji, remove, repeat, react as a bot, clear, and react again."""
    sent = await platform.message(guild, GENERAL, ADA, at=BEGIN + timedelta(minutes=2))
    await platform.react(guild, GENERAL, BEN, sent, "👍", author=ADA)
    await platform.react(guild, GENERAL, BEN, sent, WAVE, author=ADA)
    await platform.react(guild, GENERAL, BEN, sent, WAVE, author=ADA)
    await platform.unreact(guild, GENERAL, BEN, sent, "👍")
    await platform.unreact(guild, GENERAL, BEN, sent, "👍")
    await platform.react(guild, GENERAL, ROBOT, sent, "👍", author=ADA)
    await platform.unreact(guild, GENERAL, ROBOT, sent, "👍")
    await platform.clear_reactions(guild, GENERAL, sent)
    await platform.react(guild, GENERAL, BEN, sent, WAVE, author=ADA)


async def speak(platform: Discord, guild: Guild) -> None:
    """Use voice: mutes, quick moves, AFK, a bot, a member who leaves the guild while in voice."""
    await platform.voice(guild, ADA, HALL)
    for flag in ("self_mute", "mute", "self_deaf", "deaf", "self_stream", "self_video", "suppress"):
        await platform.voice(guild, ADA, HALL, **{flag: True})
    for channel_id in (ROOM, HALL, AFK, ROOM):
        await platform.voice(guild, ADA, channel_id)
    await platform.voice(guild, ROBOT, HALL)
    await platform.voice(guild, CLEO, HALL)
    await platform.leave(guild, CLEO)
    await platform.voice(guild, CLEO, None)
    await platform.join(guild, DORA, BEGIN + timedelta(minutes=3, microseconds=123_456))


async def trouble(platform: Discord, guild: Guild) -> None:
    """Have an outage in which Ben leaves, a RESUME that repeats updates, and a RESUME with missed updates."""
    await platform.outage(guild)
    platform.sit(guild, BEN, None)
    await platform.outage_over(guild)
    await platform.voice(guild, BEN, ROOM)
    await platform.reconnect(again=200)
    async with platform.away(again=200):
        await platform.message(guild, GENERAL, ADA, at=BEGIN + timedelta(minutes=4))
        await platform.voice(guild, BEN, HALL)


def hour() -> Counter[Row]:
    """Return exactly what must be in the table."""
    sent, custom = "MESSAGE_", str(WAVE)
    return Counter[Row](
        {
            # talk, react and trouble
            ("MESSAGE_SENT", "1", "100", None, "user", sent): 3,
            ("MESSAGE_SENT", "2", "100", None, "user", sent): 1,
            ("MESSAGE_SENT", "77", "100", None, "webhook", sent): 1,
            ("MESSAGE_SENT", "4", "100", None, "bot", sent): 2,
            ("MESSAGE_SENT", "3", "110", "100", "user", sent): 1,
            ("MESSAGE_SENT", "3", "121", "120", "user", sent): 1,
            # react
            ("REACTION_ADDED", "2", "100", "👍", "user", "REACTION"): 1,
            ("REACTION_REMOVED", "2", "100", "👍", "user", "REACTION"): 1,
            ("REACTION_ADDED", "2", "100", custom, "user", "REACTION"): 2,
            ("REACTION_ADDED", "4", "100", "👍", "bot", "REACTION"): 1,
            ("REACTION_REMOVED", "4", "100", "👍", "bot", "REACTION"): 1,
            # speak
            ("VOICE_JOINED", "1", "200", None, "user", None): 2,
            ("VOICE_PRESENT", "1", "200", None, "user", None): 2,  # she deafens, and no longer does
            ("VOICE_LEFT", "1", "200", None, "user", None): 2,
            ("VOICE_JOINED", "1", "209", None, "user", None): 2,
            ("VOICE_LEFT", "1", "209", None, "user", None): 1,
            ("VOICE_JOINED", "4", "200", None, "bot", None): 1,
            ("VOICE_JOINED", "3", "200", None, "user", None): 1,
            ("VOICE_LEFT", "3", "200", None, "user", None): 1,
            ("MEMBER_LEFT", "3", None, None, "user", None): 1,
            ("MEMBER_JOINED", "5", None, None, "user", None): 1,
            # Ben: in voice at the start, gone unseen in the outage, back, and moved while the bot was disconnected.
            # In voice when the bot stopped and when it started again, and then seen to leave.
            ("VOICE_PRESENT", "2", "209", None, "user", None): 1,
            ("VOICE_JOINED", "2", "209", None, "user", None): 1,
            ("VOICE_LEFT", "2", "209", None, "user", None): 1,
            ("VOICE_JOINED", "2", "200", None, "user", None): 1,
            ("VOICE_PRESENT", "2", "200", None, "user", None): 2,
            ("VOICE_LEFT", "2", "200", None, "user", None): 1,
            # Ada: in voice after the outage and when the bot stopped. She left before it started again.
            ("VOICE_PRESENT", "1", "209", None, "user", None): 2,
            # The robot: in voice after the outage, at the stop, at the start, and at the stop.
            ("VOICE_PRESENT", "4", "200", None, "bot", None): 4,
        }
    )


@pytest.mark.parametrize("make", [with_cog, with_attach, with_shards])
def test_hour__every_event_once(servers: Redis, engine: Engine, make: Callable[[], Awaitable[discord.Client]]) -> None:
    """An hour with every special case, in two runs of the bot, is stored without a duplicate or a missing event."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(await make()):
            for part in (talk, react, speak, trouble):
                await part(platform, guild)
            await platform.settle()
        platform.sit(guild, ADA, None)
        async with online(await make()):
            await platform.voice(guild, BEN, None)
            await platform.settle()

    play(scenario)
    stored = rows(engine, servers)
    assert told(stored) == hour()
    assert {(row.platform, row.community_id, row.object_author_id) for row in stored} == {
        ("discord", "discord:10", None)
    }
    times = [row.occurred_at - BEGIN for row in stored[:5]]
    assert times == [
        *(timedelta(minutes=n) for n in (0, 1, 2)),
        timedelta(minutes=3, microseconds=123_456),
        timedelta(minutes=4),
    ]
    ada = [(row.event_type, row.channel_id) for row in stored if row.member_id == "1" and "VOICE" in row.event_type]
    assert ada == [
        *[("VOICE_JOINED", "200"), ("VOICE_PRESENT", "200"), ("VOICE_PRESENT", "200"), ("VOICE_LEFT", "200")],
        *[("VOICE_JOINED", "209"), ("VOICE_LEFT", "209")],
        *[("VOICE_JOINED", "200"), ("VOICE_LEFT", "200"), ("VOICE_JOINED", "209")],
        *[("VOICE_PRESENT", "209"), ("VOICE_PRESENT", "209")],
    ]


def voice_of(stored: list[Any], member: User) -> list[tuple[str, str]]:
    """Return a member's voice events in order. In a move, the leave comes first."""
    return [
        (row.event_type.removeprefix("VOICE_"), row.channel_id)
        for row in sorted(stored, key=lambda row: (row.occurred_at, row.event_type != "VOICE_LEFT"))
        if row.member_id == str(member.id) and row.event_type.startswith("VOICE")
    ]


# ---- voice, one trap at a time ----


def voice_after(scenario: Scenario, engine: Engine, servers: Redis, member: User = BEN) -> list[tuple[str, str]]:
    play(scenario)
    return voice_of(rows(engine, servers), member)


def test_voice__fresh_session(servers: Redis, engine: Engine) -> None:
    """After a new session, nobody knows who left or moved before. Only who is in voice now is recorded."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        for member in (ADA, CLEO):
            platform.sit(guild, member, HALL)
        bot = await with_cog()
        async with online(bot):
            again = asyncio.create_task(bot.wait_for("ready"))
            async with platform.forgotten():
                platform.sit(guild, BEN, None)
                platform.sit(guild, ADA, ROOM)
            await again
            await platform.voice(guild, ADA, None)
            await platform.settle()

    play(scenario)
    stored = rows(engine, servers)
    assert voice_of(stored, BEN) == [("PRESENT", "209")]
    assert voice_of(stored, ADA) == [("PRESENT", "200"), ("PRESENT", "209"), ("LEFT", "209")]
    assert voice_of(stored, CLEO) == [("PRESENT", "200"), ("PRESENT", "200"), ("PRESENT", "200")]


def test_voice__fresh_session_and_a_leave_before_the_library_has_looked_around(servers: Redis, engine: Engine) -> None:
    """A member who moved unseen, and then leaves, leaves the channel of the new session and not the old one."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        guild.others = 1
        bot = await with_cog()
        async with online(bot):
            again = asyncio.create_task(bot.wait_for("ready"))
            platform.on_identified = lambda: platform.voice(guild, BEN, None)
            async with platform.forgotten():
                platform.sit(guild, BEN, HALL)
            await again

    assert voice_after(scenario, engine, servers) == [("PRESENT", "209"), ("LEFT", "200")]


def test_voice__change_before_the_first_round(servers: Redis, engine: Engine) -> None:
    """In a new session, updates that arrive before discord.py reports the guild as available are recorded."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        bot = Bot()
        bot._connection.guild_ready_timeout = 0.5
        await bot.__aenter__()
        await bot.add_cog(ParticipationCog(bot))
        task = asyncio.create_task(bot.start(TOKEN))
        await until(lambda: platform.identified == 1)
        await platform.voice(guild, BEN, None)
        await platform.voice(guild, ADA, HALL)
        await until(lambda: is_online(bot))
        await bot.close()
        await task

    play(scenario)
    stored = rows(engine, servers)
    assert voice_of(stored, BEN)[-1] == ("LEFT", "209")
    assert voice_of(stored, ADA)[0] == ("JOINED", "200")


def test_voice__back_after_an_outage(servers: Redis, engine: Engine) -> None:
    """A member who left in an outage, and returns before discord.py knows the members, joins and does not leave."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(await with_cog()):
            await platform.outage(guild)
            platform.sit(guild, BEN, None)
            guild.others = 1
            await platform.outage_over(guild)
            await platform.voice(guild, BEN, HALL)
            await platform.settle()

    told = voice_after(scenario, engine, servers)
    assert [step for step in told if step[0] != "PRESENT"] == [("JOINED", "200")]
    assert ("LEFT", "209") not in told


def test_voice__stop_in_an_outage(servers: Redis, engine: Engine) -> None:
    """In an outage of the guild nobody knows who is in voice, so nobody is recorded as present at the stop."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(await with_cog()):
            await platform.outage(guild)
            await platform.settle()

    assert voice_after(scenario, engine, servers) == [("PRESENT", "209")]


def test_voice__ghost_of_a_member_who_left(servers: Redis, engine: Engine) -> None:
    """A member leaves the guild, and Discord sends no voice state: one leave, and never present again."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(await with_cog()):
            await platform.leave(guild, BEN)
            await platform.settle()

    assert voice_after(scenario, engine, servers) == [("PRESENT", "209"), ("LEFT", "209")]


def test_voice__leaving_voice_first_and_then_the_guild(servers: Redis, engine: Engine) -> None:
    """With the two updates in the other order, there is also one leave."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(await with_cog()):
            await platform.voice(guild, BEN, None)
            await platform.leave(guild, BEN)
            await platform.settle()

    assert voice_after(scenario, engine, servers) == [("PRESENT", "209"), ("LEFT", "209")]


@pytest.mark.parametrize("is_state_told", [True, False])
def test_voice__deleted_channel(servers: Redis, engine: Engine, is_state_told: bool) -> None:
    """Deleting a channel ends the stay of everybody in it, whether or not Discord sends their voice states."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(await with_cog()):
            await platform.delete_channel(guild, ROOM)
            platform.sit(guild, BEN, None)
            if is_state_told:
                await platform.voice(guild, BEN, None)
            await platform.settle()

    assert voice_after(scenario, engine, servers) == [("PRESENT", "209"), ("LEFT", "209")]


def test_voice__stage_and_unknown_channel(servers: Redis, engine: Engine) -> None:
    """A stage counts as a voice channel, also for suppressed listeners. An unknown channel does not count."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        guild.channels[300] = Channel(300, shapes.STAGE)
        async with online(await with_cog()):
            await platform.voice(guild, BEN, 300, suppress=True)
            await platform.voice(guild, BEN, 999)
            await platform.voice(guild, BEN, ROOM)
            await platform.settle()

    assert voice_after(scenario, engine, servers) == [
        *[("PRESENT", "209"), ("LEFT", "209"), ("JOINED", "300"), ("LEFT", "300"), ("JOINED", "209")],
        ("PRESENT", "209"),
    ]


def test_voice__rounds_while_connected_only(servers: Redis, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody in voice is recorded as present at intervals, but not while the bot is disconnected."""
    monkeypatch.setattr(listener, "ROUND_SECONDS", 0.02)
    seen: list[int] = []

    async def scenario(platform: Discord) -> None:
        harbour(platform)
        publisher = Publisher()

        def count() -> int:
            return publisher.counters().tracked

        bot = Bot()
        async with bot:
            await bot.add_cog(ParticipationCog(bot, publisher=publisher))
            task = asyncio.create_task(bot.start(TOKEN))
            await until(lambda: count() > 4)
            disconnected = asyncio.create_task(bot.wait_for("disconnect"))
            async with platform.unreachable():
                await disconnected
                before = count()
                await asyncio.sleep(0.1)
                seen.extend([before, count()])
            await until(lambda: count() > seen[1] + 2)
        await task
        publisher.close()

    told = voice_after(scenario, engine, servers)
    assert set(told) == {("PRESENT", "209")}
    assert seen[0] == seen[1]


# ---- reactions ----


@pytest.mark.parametrize("is_outage", [True, False])
def test_reactions__removed_unseen_and_added_again(servers: Redis, engine: Engine, is_outage: bool) -> None:
    """After an outage or in a new session, a repeated reaction counts, because the removal may have been missed."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        async with online(await with_cog()):
            await platform.react(guild, GENERAL, ADA, 5000, "👍", author=BEN)
            await platform.settle()
            if is_outage:
                await platform.outage(guild)
                await platform.outage_over(guild)
            else:
                async with platform.forgotten():
                    pass
            await platform.react(guild, GENERAL, ADA, 5000, "👍", author=BEN)
            await platform.settle()

    play(scenario)
    assert [row.event_type for row in rows(engine, servers) if row.member_id == "1"] == ["REACTION_ADDED"] * 2


# ---- into the bot and out of it ----


def test_bot__hears_every_update_in_order(servers: Redis, engine: Engine) -> None:
    """The bot's own handlers get the same updates as without the adapter, in the same order."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        heard: list[list[str]] = []
        for bot in (Bot(), Bot()):
            if not heard:
                await bot.__aenter__()
                await bot.add_cog(ParticipationCog(bot))
            async with online(bot):
                for part in (talk, react, speak):
                    await part(platform, guild)
                await platform.settle()
                guild.members |= {CLEO.id: CLEO}
                await until(lambda bot=bot: len(bot.heard) >= 40)  # type: ignore[misc]
            heard.append([line.split()[0] for line in bot.heard])
        assert heard[0] == heard[1]

    play(scenario)
    rows(engine, servers)


def test_bot__does_not_notice_what_goes_wrong(servers: Redis, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Updates that give no valid event are logged. The bot still gets them, and continues."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        bot = Bot()
        async with bot:
            await bot.add_cog(ParticipationCog(bot))
            task = asyncio.create_task(bot.start(TOKEN))
            await until(lambda: is_online(bot))
            await platform.message(guild, GENERAL, ADA, at=datetime(2099, 1, 1, tzinfo=UTC))
            await platform.react(guild, GENERAL, ADA, 5000, "\0", author=BEN)
            await platform.message(guild, GENERAL, ADA)
            await platform.settle()
            await until(lambda: len(bot.heard) == 3)
        await task
        assert [line.split()[0] for line in bot.heard] == ["message", "reaction", "message"]

    with caplog.at_level(logging.ERROR):
        play(scenario)
    stored = rows(engine, servers)
    assert [row.event_type for row in stored if "VOICE" not in row.event_type] == ["MESSAGE_SENT"]
    assert not [record for record in caplog.records if record.name.startswith("discord")]


def test_cog__loaded_reloaded_and_unloaded_while_the_bot_runs(servers: Redis, engine: Engine) -> None:
    """A cog that is added late records who is in voice at once. Reloaded, it counts once. Unloaded, it stops."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        bot = Bot()
        async with online(bot):
            await bot.add_cog(ParticipationCog(bot))
            await bot.remove_cog("Participation")
            cog = ParticipationCog(bot)
            await bot.add_cog(cog)
            await platform.react(guild, GENERAL, ADA, 5000, "👍", author=BEN)
            await platform.settle()
            await bot.remove_cog("Participation")
            await bot.add_cog(cog)
            await platform.react(guild, GENERAL, ADA, 5001, "👍", author=BEN)
            await platform.settle()
            await bot.remove_cog("Participation")
            await platform.react(guild, GENERAL, ADA, 5002, "👍", author=BEN)
            await platform.settle()

    play(scenario)
    stored = rows(engine, servers)
    assert [row.object_id for row in stored if row.event_type == "REACTION_ADDED"] == ["5000", "5001"]
    assert voice_of(stored, BEN) == [("PRESENT", "209")] * 6


def test_attach__twice_is_refused(servers: Redis) -> None:
    """Two adapters in one bot would count reactions and voice twice."""

    async def scenario(platform: Discord) -> None:
        platform.guild(10, text=GENERAL)
        bot = Bot()
        async with online(bot):
            await bot.add_cog(ParticipationCog(bot))
            with pytest.raises(ConfigError, match="twice"):
                attach(bot)

    play(scenario)


def test_attach__setup_hook_of_the_bot_is_its_own(servers: Redis, engine: Engine) -> None:
    """A bot may define `setup_hook` after `attach`, or call `attach` in it."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        for attaches_in_hook in (False, True):
            client = Plain()
            called: list[bool] = []
            if not attaches_in_hook:
                attach(client)

            @client.event
            async def setup_hook(
                client: Plain = client, inside: bool = attaches_in_hook, called: list[bool] = called
            ) -> None:
                called.append(inside)
                if inside:
                    attach(client)

            async with online(client):
                await platform.message(guild, GENERAL, ADA)
                await platform.settle()
            assert called == [attaches_in_hook]

    play(scenario)
    stored = rows(engine, servers)
    assert [row.event_type for row in stored if row.member_id == "1"] == ["MESSAGE_SENT"] * 2
    assert voice_of(stored, BEN) == [("PRESENT", "209")] * 4


def test_options__communities_and_authors(servers: Redis, engine: Engine) -> None:
    """Guilds can be mapped to a community. The authors of messages are recorded only with `record_authors`."""

    async def scenario(platform: Discord) -> None:
        guild, other = harbour(platform), platform.guild(11, ADA, text=GENERAL)
        async with online(await with_cog(communities={"10": "harbour"}, record_authors=True)):
            await platform.react(guild, GENERAL, ADA, 5000, "👍", author=BEN)
            await platform.unreact(guild, GENERAL, ADA, 5000, "👍")
            await platform.react(other, GENERAL, ADA, 5001, "👍", author=BEN)
            await platform.settle()

    play(scenario)
    found = [(row.event_type, row.community_id, row.object_author_id) for row in rows(engine, servers)]
    assert [row for row in found if "VOICE" not in row[0]] == [
        ("REACTION_ADDED", "harbour", "2"),
        ("REACTION_REMOVED", "harbour", None),
        ("REACTION_ADDED", "discord:11", "2"),
    ]


def test_intents__missing_ones_are_named_at_the_start(
    servers: Redis, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the privileged intent, everything except joins and leaves is recorded."""

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        bot = Bot(members=False)
        async with bot:
            await bot.add_cog(ParticipationCog(bot))
            task = asyncio.create_task(bot.start(TOKEN))
            await until(lambda: is_online(bot))
            await platform.message(guild, GENERAL, ADA)
            await platform.join(guild, DORA, datetime.now(UTC))
            await platform.voice(guild, BEN, None)
            await platform.leave(guild, BEN)
            await platform.settle()
        await task

    play(scenario)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("participation")]
    assert [line.split(";")[0] for line in lines] == [
        "not_seen: intent members: joins and leaves of members are not seen"
    ]
    stored = [(row.event_type, row.member_id) for row in rows(engine, servers)]
    assert stored == [("VOICE_PRESENT", "2"), ("MESSAGE_SENT", "1"), ("VOICE_LEFT", "2")]


def notices(queue: Redis) -> list[tuple[str, str, bool]]:
    """Return the notices of a bot about its guilds, in order."""
    arguments = queued(queue, keys.NOTE_PRESENCE)
    assert {each["platform"] for each in arguments} <= {"discord"}
    return [(each["community_id"], each["space_id"], each["is_present"]) for each in arguments]


def test_presence__removed_from_a_guild_and_back(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A removal is reported with the guild, also if the community has another one. An outage is not a removal."""
    # Another database of the server, because the worker would take the notices out of the first one.
    monkeypatch.setenv("REDIS_URL", valkey.url.rpartition("/")[0] + "/1")
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path))

    async def scenario(platform: Discord) -> None:
        guild = harbour(platform)
        twin, other = (platform.guild(guild_id, ADA, text=GENERAL) for guild_id in (11, 12))
        bot = await with_cog(communities={10: "harbour", 11: "harbour"})
        async with online(bot):
            await platform.outage(guild)
            await platform.outage_over(guild)
            await platform.remove_guild(twin)
            await platform.remove_guild(other)
            await platform.remove_guild(guild)
            await platform.join_guild(guild)
            await platform.settle()
            await until(lambda: bot.get_guild(10) is not None)

    with Redis.from_url(os.environ["REDIS_URL"]) as queue:
        queue.flushdb()
        play(scenario)
        told = notices(queue)
    all_there = [("discord:12", "12", True), ("harbour", "10", True), ("harbour", "11", True)]
    assert sorted(told[:3]) == all_there
    assert told[3:] == [
        ("harbour", "10", True),
        *[("harbour", "11", False), ("discord:12", "12", False), ("harbour", "10", False)],
        ("harbour", "10", True),
    ]
