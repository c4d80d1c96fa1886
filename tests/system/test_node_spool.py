"""The spool of the examples in JavaScript: it keeps what Redis has not acknowledged, and sends it later, in order."""

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from participation import keys, message
from participation.ingest.flush import store_elements
from participation.local.valkey import Valkey
from tests.rows import event
from tests.standins import telegram_updates as tg
from tests.standins.telegram import TOKEN, Telegram
from tests.standins.telegram_updates import ADA, HARBOUR
from tests.system.node_bots import NodeBot, events, node_bot, queued, run_script
from tests.worker import eventually

MANY = 1_200
"""More messages than the bot sends at once."""

HUNG = {"PARTICIPATION_PUBLISH_TIMEOUT_SECONDS": "1"}

SMALL = {"PARTICIPATION_SPOOL_MEGABYTES": "0.02"}
"""Room for about twenty messages."""


@pytest.fixture
def server() -> Iterator[Telegram]:
    with Telegram() as server:
        yield server


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey that the test may stop."""
    with Valkey(tmp_path / "valkey") as valkey:
        yield valkey


@pytest.fixture
def client(own: Valkey) -> Iterator[Redis]:
    with Redis.from_url(own.url) as client:
        yield client


@pytest.fixture
def bot(node_program: Path, server: Telegram, own: Valkey, tmp_path: Path) -> Iterator[NodeBot]:
    where = {"REDIS_URL": own.url, "BOT_TOKEN": TOKEN, "BOT_API_URL": server.url}
    with node_bot(node_program, tmp_path, "telegram-bot.js", **where) as bot:
        yield bot


def write(server: Telegram, *numbers: int) -> None:
    """Let Ada write messages with these ids, and wait until the bot has them."""
    server.happens(*(tg.message(HARBOUR, ADA, number) for number in numbers))
    server.wait_until_polled()


def written(client: Redis) -> list[int]:
    return [int(each.object_id or 0) for each in events(client)]


def test_spool__redis_away_and_back(bot: NodeBot, server: Telegram, own: Valkey, client: Redis) -> None:
    """What happens while Redis is away arrives once, in order, and the file is empty after it."""
    bot.start(server.polls)
    write(server, 1)
    eventually(lambda: written(client) == [1])
    own.stop()
    write(server, *range(2, MANY))
    eventually(lambda: "redis_unavailable" in bot.log)
    (name,) = bot.spooled()
    assert stat.S_IMODE((bot.spool / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(bot.spool.stat().st_mode) == 0o700
    own.start()
    eventually(lambda: len(written(client)) == MANY - 1)
    assert written(client) == [*range(1, MANY)]
    eventually(lambda: not bot.spooled())
    bot.stop()
    assert [*bot.spool.glob("*.messages")] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_spool__the_next_start_sends_it(
    number: signal.Signals, bot: NodeBot, server: Telegram, own: Valkey, client: Redis
) -> None:
    """The bot ends while Redis is away, in the ordinary way or killed. Its next start sends what it had, in order."""
    bot.start(server.polls)
    own.stop()
    write(server, *range(1, 100))
    eventually(lambda: "redis_unavailable" in bot.log)
    bot.stop(number)
    assert len(bot.spooled()) == 1
    own.start()
    bot.start(server.polls)
    eventually(lambda: len(written(client)) == 99)
    write(server, 100)
    bot.stop()
    assert written(client) == [*range(1, 101)]
    assert bot.spooled() == []


def test_spool__sigkill_loses_nothing(bot: NodeBot, server: Telegram, client: Redis) -> None:
    """Killed in the middle of its work again and again, the bot sends every message. Some may come twice."""
    expected = set()
    for begin in range(1, 2_001, 500):
        bot.start(server.polls)
        server.happens(*(tg.message(HARBOUR, ADA, number) for number in range(begin, begin + 500)))
        expected |= {*range(begin, begin + 500)}
        eventually(lambda begin=begin: any(number >= begin for number in written(client)))  # type: ignore[misc]
        bot.stop(signal.SIGKILL)
    bot.start(server.polls)
    server.wait_until_polled()
    bot.stop()
    assert {*written(client)} == expected
    assert [*dict.fromkeys(written(client))] == sorted(expected)


def test_spool__sigterm_sends_everything(bot: NodeBot, server: Telegram, client: Redis) -> None:
    bot.start(server.polls)
    write(server, *range(1, MANY))
    bot.stop()
    assert written(client) == [*range(1, MANY)]
    assert [*bot.spool.glob("*.messages")] == []


def test_spool__a_redis_that_hangs_is_left(
    bot: NodeBot, server: Telegram, own: Valkey, client: Redis, engine: Engine
) -> None:
    """Redis got messages and did not answer. They are sent again, and stored once."""
    bot.start(server.polls, **HUNG)
    write(server, 1)
    eventually(lambda: written(client) == [1])
    os.kill(own.pid, signal.SIGSTOP)
    try:
        write(server, *range(2, 100))
        eventually(lambda: "no answer in 1 s" in bot.log)
    finally:
        os.kill(own.pid, signal.SIGCONT)
    eventually(lambda: "redis_available" in bot.log)
    bot.stop()
    sent: Any = client.lrange(keys.EVENTS, 0, -1)
    counts = store_elements(engine, "node", sent)
    assert counts
    assert (counts.stored, counts.dead) == (99, 0)
    assert counts.duplicates > 0


def test_spool__a_redis_that_is_full_is_waited_for(bot: NodeBot, server: Telegram, client: Redis) -> None:
    bot.start(server.polls)
    client.config_set("maxmemory", 1)
    write(server, 1, 2, 3)
    eventually(lambda: "redis_unavailable" in bot.log)
    client.config_set("maxmemory", 0)
    eventually(lambda: written(client) == [1, 2, 3])


def test_spool__when_it_is_full_the_newest_are_refused(
    bot: NodeBot, server: Telegram, own: Valkey, client: Redis
) -> None:
    """The oldest are kept in order. One line a minute says how many were refused until then."""
    bot.start(server.polls, **SMALL)
    own.stop()
    write(server, *range(1, 200))
    eventually(lambda: "event_refused" in bot.log)
    (name,) = bot.spooled()
    assert (bot.spool / name).stat().st_size <= 20_000
    own.start()
    eventually(lambda: "redis_available" in bot.log)
    eventually(lambda: not bot.spooled())
    kept = written(client)
    assert kept == [*range(1, len(kept) + 1)]
    assert 10 < len(kept) < 40
    write(server, 500)
    bot.stop()
    assert written(client)[-1] == 500
    assert bot.log.count("event_refused") == 1
    total = len(queued(client)) + len(queued(client, keys.NOTE_NAMES))
    assert f"stopped tracked={total} sent={total} refused={199 - len(kept)} failed=0 spooled=0" in bot.log


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_spool__random_faults_lose_nothing(
    seed: int, bot: NodeBot, server: Telegram, own: Valkey, engine: Engine
) -> None:
    """The bot and Redis end and start again at random moments, and each message is stored once."""
    random = Random(seed)
    numbers = iter(range(1, 10_000))
    bot.start(server.polls)
    for _ in range(6):
        server.happens(*(tg.message(HARBOUR, ADA, number) for number in islice(numbers, random.randint(1, 300))))
        match random.choice(["bot", "redis", "both", "none"]):
            case "bot":
                bot.stop(random.choice([signal.SIGTERM, signal.SIGKILL]))
                bot.start(server.polls)
            case "redis":
                own.stop()
                own.start()
            case "both":
                own.stop()
                bot.stop(signal.SIGKILL)
                own.start()
                bot.start(server.polls)
    server.wait_until_polled()
    bot.stop()
    with Redis.from_url(own.url) as client:
        sent: Any = client.lrange(keys.EVENTS, 0, -1)
    counts = store_elements(engine, "node", sent)
    assert counts
    assert (counts.stored, counts.dead) == (next(numbers) - 1, 0)
    assert bot.spooled() == []


def test_spool__a_damaged_file_loses_only_what_is_damaged(
    bot: NodeBot, server: Telegram, own: Valkey, client: Redis
) -> None:
    """A line that was not written to its end, a line of something else, and messages that were acknowledged."""
    bot.spool.mkdir()
    lines = [message.encode({"object_id": str(number)}) for number in range(1, 6)]
    torn = b"\n".join([*lines[:2], b"-2", lines[2], b"\0\0\0", lines[3], lines[4][:50]])
    abandoned = bot.spool / f"1-{ended()}-1-0123abcd.messages"
    abandoned.write_bytes(torn)
    unfinished = abandoned.with_name(f"{abandoned.name}.new")
    unfinished.write_bytes(torn)
    bot.start(server.polls)
    eventually(lambda: client.llen(keys.EVENTS) == 2)
    bot.stop()
    assert [each["object_id"] for each in queued(client)] == ["3", "4"]
    assert "spool_damaged" in bot.log
    assert not abandoned.exists()
    assert not unfinished.exists()


def test_spool__a_file_of_another_running_bot_is_left_alone(
    bot: NodeBot, node_program: Path, server: Telegram, own: Valkey, tmp_path: Path
) -> None:
    """Two bots use one folder. Each has a file of its own."""
    bot.start(server.polls)
    own.stop()
    write(server, 1)
    eventually(lambda: len(bot.spooled()) == 1)
    script = "const { Participation } = await import('./participation.js'); console.log(new Participation().waiting)"
    where = {**bot.environment, "PARTICIPATION_SPOOL_DIR": str(bot.spool)}
    assert run_script(node_program, f"{script}; process.exit()", **where) == "0\n"
    assert len(bot.spooled()) == 1


def test_spool__a_disk_that_is_full_loses_nothing(
    node_program: Path, own: Valkey, client: Redis, tmp_path: Path
) -> None:
    """What does not fit onto the disk is in memory until Redis has it."""
    given = [event(object_id=str(number)) for number in range(1, 100)]
    script = f"""
        import {{ Participation }} from "./participation.js";
        const participation = new Participation();
        for (const event of {json.dumps(given)}) participation.track(event);
        await participation.close();
    """
    where = {"REDIS_URL": own.url, "PARTICIPATION_SPOOL_DIR": str(tmp_path / "spool")}
    said = run_script(node_program, script, "prlimit", "--fsize=8192", **where)
    assert "spool_unavailable" in said
    assert "stopped tracked=99 sent=99 refused=0 failed=0 spooled=0" in said
    assert written(client) == [*range(1, 100)]


def ended() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid
