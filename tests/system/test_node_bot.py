"""The example for Node.js, with a Celery client for JavaScript and the stand-in for Telegram."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import aiogram
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from participation import event, keys
from participation.bots.bot_api import mapping
from participation.bots.bot_api.albums import Albums
from participation.ingest.flush import store_elements
from participation.local.processes import kill, spawn
from participation.local.valkey import Valkey
from tests.standins.telegram import TOKEN, Telegram
from tests.standins.telegram_updates import (
    ADA,
    ANONYMOUS_ADMIN,
    BEN,
    HARBOUR,
    NEWS,
    NEWS_DIRECT,
    ROBOT,
    TELEGRAM,
    Json,
    message,
    photo,
    private,
    reaction,
    thumb,
)
from tests.worker import SECONDS, eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the example as its first line says, but without running scripts of the packages."""
    folder = tmp_path_factory.mktemp("node") / "bot"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", f"--cache={folder / 'cache'}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=180)
    return folder


@pytest.fixture
def server() -> Iterator[Telegram]:
    with Telegram() as server:
        server.administrator_in |= {HARBOUR["id"], NEWS_DIRECT["id"]}
        yield server


@pytest.fixture
def bot(program: Path, server: Telegram, valkey: Valkey, redis: Redis, tmp_path: Path) -> Iterator[Any]:
    """Run the bot. It has asked for updates when the test starts."""
    servers = {"REDIS_URL": valkey.url, "BOT_TOKEN": TOKEN, "BOT_API_URL": server.url}
    with (tmp_path / "bot.log").open("wb") as log:
        process = spawn(
            ["node", "bot.js"], signal.SIGKILL, cwd=program, env={**os.environ, **servers}, stdout=log, stderr=log
        )
    try:
        eventually(lambda: bool(server.called("getUpdates")) or process.poll() is not None)
        yield process
    finally:
        kill(process)


def expected(updates: list[Json]) -> set[str]:
    """Return the event ids that the Python adapters give to these updates."""
    read = [aiogram.types.Update.model_validate({"update_id": 1, **update}) for update in updates]
    is_first = Albums().is_first
    events = chain.from_iterable(
        mapping.events(update, lambda chat_id: f"telegram:{chat_id}", is_first) for update in read
    )
    return {event.event_id(each).hex for each in events}


def test_node_bot__its_events_are_those_of_the_adapters(
    bot: "subprocess.Popen[bytes]", server: Telegram, redis: Redis, engine: Engine
) -> None:
    """The events of the bot are stored, and are the same as the events of a Python bot."""
    updates = [
        message(HARBOUR, ADA, 1),
        message(HARBOUR, BEN, 2, photo=photo()),
        message(HARBOUR, ROBOT, 3),
        message(HARBOUR, ANONYMOUS_ADMIN, 4, text="ahoy", sender_chat=HARBOUR),
        reaction(HARBOUR, BEN, 1, [], [thumb()]),
        reaction(HARBOUR, BEN, 1, [thumb()], [thumb("🔥")]),
        *(message(HARBOUR, BEN, number, photo=photo(), media_group_id="13379") for number in (9, 10, 11)),
    ]
    ignored = [
        message(private(ADA), ADA, 5),
        message(HARBOUR, TELEGRAM, 6, text="news", sender_chat=NEWS, is_automatic_forward=True),
        message(HARBOUR, ADA, 7, new_chat_title="Harbour"),
        message(NEWS_DIRECT, ADA, 8),
        reaction(NEWS_DIRECT, BEN, 8, [], [thumb()]),
    ]
    server.happens(*updates, *ignored)
    eventually(lambda: redis.llen(keys.EVENTS) == 8)
    server.wait_until_polled()
    bot.send_signal(signal.SIGTERM)
    assert bot.wait(SECONDS) == 0
    raws: Any = redis.lrange(keys.EVENTS, 0, -1)
    counts = store_elements(engine, "node", raws)
    assert counts
    assert (counts.received, counts.stored, counts.dead) == (8, 8, 0)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT event_id, actor_kind FROM participation_events"))
        found = {row.event_id.hex: row.actor_kind for row in rows}
    assert found.keys() == expected(updates)
    assert sorted(found.values()) == ["anonymous", "bot", *["user"] * 6]


def test_node_bot__waits_for_a_redis_that_refuses(
    bot: "subprocess.Popen[bytes]", server: Telegram, redis: Redis
) -> None:
    """The bot sends an event again until Redis accepts it."""
    redis.config_resetstat()
    redis.config_set("maxmemory", 1)
    try:
        server.happens(message(HARBOUR, ADA, 1))
        server.wait_until_polled()
        eventually(lambda: "errorstat_OOM" in redis.info("errorstats"))
    finally:
        redis.config_set("maxmemory", 0)
    eventually(lambda: redis.llen(keys.EVENTS) == 1)


def test_node_bot__is_short() -> None:
    """The example has fewer than 40 lines."""
    assert len((EXAMPLE / "bot.js").read_text().splitlines()) < 40
