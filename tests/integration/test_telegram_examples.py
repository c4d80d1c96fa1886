"""The examples for Telegram, run as a user runs them, with the stand-in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from participation import keys
from participation.local.processes import kill
from participation.local.valkey import Valkey
from tests.standins import telegram_updates as tg
from tests.standins.telegram import TOKEN, Telegram
from tests.standins.telegram_updates import ADA, HARBOUR, Json
from tests.worker import SECONDS, eventually, queued

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND: Json = {"text": "/hello", "entities": [{"type": "bot_command", "offset": 0, "length": 6}]}


@pytest.mark.parametrize("name", ["aiogram_bot.py", "telegram_bot.py"])
def test_example__answers_and_records(name: str, valkey: Valkey, tmp_path: Path) -> None:
    """The bot answers. When it has ended, each kind of event is in Redis, and the log does not contain the token."""
    url = valkey.url.rsplit("/", 1)[0] + "/7"
    with Redis.from_url(url) as redis, Telegram() as server:
        redis.flushdb()
        server.administrator_in = {HARBOUR["id"]}
        more = {"BOT_TOKEN": TOKEN, "BOT_API_URL": server.url, "REDIS_URL": url}
        process = subprocess.Popen(
            [sys.executable, EXAMPLES / name],
            env={**os.environ, **more, "PARTICIPATION_SPOOL_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            server.wait_until_polled()
            server.happens(
                tg.message(HARBOUR, ADA, 1, **COMMAND),
                tg.reaction(HARBOUR, ADA, 1, [], [tg.thumb()]),
                tg.membership(HARBOUR, tg.BEN, "left", "member"),
            )
            server.wait_until_polled()
            eventually(lambda: bool(server.called("sendMessage")))
            process.terminate()
            written = process.communicate(timeout=SECONDS)[0].decode()
        finally:
            if process.poll() is None:
                kill(process)
        assert process.returncode == 0, written
        assert TOKEN.partition(":")[2] not in written
        assert [call.parameters["text"] for call in server.called("sendMessage")] == ["Ahoy!"]
        kinds = [each["event_type"] for each in queued(redis, keys.TRACK_EVENT)]
        assert kinds == ["MESSAGE_SENT", "REACTION_ADDED", "MEMBER_JOINED"]


@pytest.mark.parametrize("name", ["aiogram_bot.py", "telegram_bot.py"])
def test_example__is_short(name: str) -> None:
    """Each example has fewer than 40 lines."""
    assert len((EXAMPLES / name).read_text().splitlines()) < 40
