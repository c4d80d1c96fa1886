"""The digest of one hour on Discord and Telegram as one community: real libraries, stand-ins, and everybody's name."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from redis import Redis
from sqlalchemy import Engine

from participation import keys
from participation.highlights.compute import compute_day
from participation.highlights.digest import Digest, read_digest
from participation.highlights.renderers.text import render_text
from participation.highlights.summary import summarize
from participation.ingest.flush import store_elements
from participation.local.valkey import Valkey
from participation.store.communities import grouping
from participation.store.database import transaction
from participation.store.members import requests
from tests.integration.telegram_bots import BOTS
from tests.integration.test_discord_names import Client, settled
from tests.integration.test_privacy import places
from tests.integration.test_telegram_adapters import MakeBot
from tests.standins import discord_payloads as shapes
from tests.standins import telegram_updates as tg
from tests.standins.discord import Discord
from tests.standins.discord_harbour import ADA, BEN, CLEO, GENERAL, THREAD, online, play
from tests.standins.discord_payloads import Channel, User
from tests.standins.telegram import Telegram
from tests.standins.telegram_updates import HARBOUR, NOON
from tests.worker import eventually

OFFICE: Final = 130
GONE: Final = User(66, "forgotten-gil")
OUT: Final[dict[str, Any]] = {"id": 7_000_000_066, "is_bot": False, "first_name": "Opted-out Olga"}
TWIN: Final[dict[str, Any]] = {"id": 7_000_000_002, "is_bot": False, "first_name": "Captain", "last_name": "Ben"}


@pytest.fixture
def redis(valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Redis]:
    """A database of the server that no worker reads."""
    url = valkey.url.rsplit("/", 1)[0] + "/7"
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / "spool"))
    with Redis.from_url(url) as client:
        client.flushdb()
        yield client
        client.flushdb()


def store(engine: Engine, redis: Redis) -> None:
    """Store what the bots have sent, as a worker does."""
    raws: Any = redis.lrange(keys.EVENTS, 0, -1)
    redis.delete(keys.EVENTS)
    counts = store_elements(engine, uuid4().hex, list(reversed(raws)))
    assert counts is not None
    assert counts.dead == 0


async def on_discord(platform: Discord) -> None:
    """A thread, a hidden channel, a nickname that changes, and a member who will be forgotten."""
    guild = platform.guild(10, ADA, BEN, CLEO, GONE, text=GENERAL)
    guild.channels[GENERAL] = Channel(GENERAL, shapes.TEXT, name="quay")
    guild.channels[OFFICE] = Channel(OFFICE, shapes.TEXT, name="office", is_hidden=True)
    guild.nicks[BEN.id] = "Skipper"
    async with online(Client()):
        await platform.thread(guild, GENERAL, THREAD, name="repairs")
        for minute, (channel, author) in enumerate(
            [(GENERAL, ADA), (GENERAL, BEN), (THREAD, BEN), (THREAD, BEN), (OFFICE, CLEO), (GENERAL, GONE)]
        ):
            await platform.message(guild, channel, author, at=NOON + timedelta(minutes=minute))
        await platform.rename(guild, BEN, "Captain Ben")
        await settled(platform)


def on_telegram(make: MakeBot) -> None:
    """A forum with a topic and its general part, a member called like one of Discord, and one who will opt out."""
    with Telegram() as server:
        server.administrator_in = {HARBOUR["id"]}
        sails = tg.topic(HARBOUR, 70, "Sails")
        updates = [
            sails,
            tg.in_topic(sails, TWIN, 71, NOON),
            tg.in_topic(sails, TWIN, 72, NOON),
            tg.message(HARBOUR, tg.CLEO, 73, NOON),
            tg.message(HARBOUR, OUT, 74, NOON),
        ]
        with make(server) as bot:
            server.wait_until_polled()
            server.happens(*updates)
            eventually(lambda: len(bot.heard) >= len(updates))


def digest(engine: Engine) -> Digest:
    with transaction(engine) as connection:
        compute_day(connection, "harbour", NOON.date())
        return read_digest(connection, "harbour", NOON.date())


@pytest.mark.parametrize("make", BOTS.values(), ids=BOTS)
def test_digest__names_everyone_rightly(engine: Engine, redis: Redis, make: MakeBot) -> None:
    """One community of a server and a forum: names after a change, two alike, one who opted out, one forgotten."""
    play(on_discord)
    on_telegram(make)
    store(engine, redis)
    with transaction(engine) as connection:
        grouping.group(connection, "harbour", ["discord:10", f"telegram:{HARBOUR['id']}"])
    assert places(engine, redis, GONE.name)
    assert places(engine, redis, "Opted-out Olga")
    requests.forget(engine, f"discord:{GONE.id}")
    requests.opt_out(engine, f"telegram:{OUT['id']}")
    on_telegram(make)
    store(engine, redis)

    found = digest(engine)
    assert {each.member_id: (each.name, each.message_count) for each in found.members} == {
        "discord:1": ("ada", 1),
        "discord:2": ("Captain Ben (discord)", 3),
        "discord:3": ("cleo (discord)", 1),
        f"telegram:{TWIN['id']}": ("Captain Ben (telegram)", 2),
        "telegram:43": ("Cleo (telegram)", 1),
    }
    assert {(each.channel_id, each.name): each.message_count for each in found.channels} == {
        ("100", "#quay"): 4,
        ("130", "#office"): 1,
        (f"{HARBOUR['id']}/70", "#Harbour › Sails"): 2,
        (f"{HARBOUR['id']}/1", "#Harbour › General"): 1,
    }
    shown = render_text(summarize(found))
    assert "Captain Ben (discord) 3 · Captain Ben (telegram) 2" in shown
    assert "Top channels      #quay 2 active" in shown
    for trace in (GONE.name, "Opted-out Olga", str(OUT["id"])):
        assert places(engine, redis, trace) == []
        assert trace not in shown
