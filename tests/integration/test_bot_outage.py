"""A bot in its own process that is killed while Redis is unavailable."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis

from participation import keys
from participation.local.processes import kill, spawn
from participation.local.valkey import Valkey
from tests.standins.telegram import TOKEN, Telegram
from tests.standins.telegram_updates import ADA, HARBOUR, NOON
from tests.standins.telegram_updates import message as wrote
from tests.worker import SECONDS, eventually, queued

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def running(program: str, server: Telegram, folder: Path, redis_url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run an example until the block ends. The block starts when the bot asks for updates."""
    polls = len(server.called("getUpdates"))
    environment = {
        **os.environ,
        "BOT_TOKEN": TOKEN,
        "BOT_API_URL": server.url,
        "REDIS_URL": redis_url,
        "PARTICIPATION_SPOOL_DIR": str(folder / "spool"),
    }
    command: list[str | Path] = [sys.executable, EXAMPLES / program]
    with (folder / "bot.log").open("ab") as log:
        process = spawn(command, signal.SIGKILL, env=environment, stdout=log, stderr=log)
    try:
        eventually(lambda: len(server.called("getUpdates")) > polls or process.poll() is not None)
        assert process.poll() is None, (folder / "bot.log").read_text()
        yield process
    finally:
        kill(process)


def on_disk(folder: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in (folder / "spool").glob("*.spool*"))


@pytest.mark.parametrize("program", ["aiogram_bot.py", "telegram_bot.py"])
def test_killed_bot__loses_nothing_that_was_spooled(program: str, tmp_path: Path) -> None:
    """Telegram sends each update once. Events from an outage of Redis arrive later, with their original times."""
    updates = [wrote(HARBOUR, ADA, 7_000 + number, NOON + timedelta(seconds=number)) for number in range(60)]
    with Valkey(tmp_path / "valkey") as valkey, Telegram() as server:
        valkey.stop()
        with running(program, server, tmp_path, valkey.url) as bot:
            server.happens(*updates[:50])
            eventually(lambda: all(on_disk(tmp_path, f'"object_id":"{number}"') for number in range(7_000, 7_050)))
            bot.send_signal(signal.SIGKILL)
            bot.wait()
        valkey.start()
        with running(program, server, tmp_path, valkey.url) as bot, Redis.from_url(valkey.url) as redis:
            server.happens(*updates[50:])
            eventually(lambda: len(queued(redis, keys.TRACK_EVENT)) == 60)
            bot.send_signal(signal.SIGTERM)
            assert bot.wait(SECONDS) == 0
            found = {item["object_id"]: item["occurred_at"] for item in queued(redis, keys.TRACK_EVENT)}
            names = [name for notice in queued(redis, keys.NOTE_NAMES) for name in notice]
    assert found == {str(7_000 + number): f"2026-03-10T12:{number // 60:02}:{number % 60:02}Z" for number in range(60)}
    # Each process told the name once. That of the process that was killed came from the spool.
    seen_at = sorted(name["seen_at"] for name in names if name["name"] == "Ada")
    assert seen_at == ["2026-03-10T12:00:00Z", "2026-03-10T12:00:50Z"]
    assert [*(tmp_path / "spool").glob("*.spool*")] == []
