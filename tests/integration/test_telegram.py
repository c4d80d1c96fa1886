"""Telegram end to end: both libraries, a stand-in for the Bot API, Redis, a worker and the table."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from participation.local.valkey import Valkey
from tests.commands import run
from tests.conftest import empty
from tests.integration.telegram_bots import BOTS, AiogramBot, TelegramBot
from tests.standins import telegram_updates as tg
from tests.standins.telegram import Telegram
from tests.standins.telegram_updates import (
    ADA,
    BEN,
    BOATS,
    BOATS_AFTER,
    CLEO,
    HARBOUR,
    NEWS,
    NOON,
    OURSELVES,
    ROBOT,
    Json,
)
from tests.worker import eventually, running

Row = tuple[object, ...]
MakeBot = type[AiogramBot] | type[TelegramBot]

libraries = pytest.mark.parametrize("make", BOTS.values(), ids=BOTS)


@pytest.fixture(scope="module")
def worker(shared_engine: Engine, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run one worker for all tests that read the table."""
    with pytest.MonkeyPatch.context() as patch, Redis.from_url(valkey.url) as client:
        client.flushall()
        patch.setenv("DATABASE_URL", shared_engine.url.render_as_string(hide_password=False))
        patch.setenv("REDIS_URL", valkey.url)
        with running(tmp_path_factory.mktemp("worker") / "worker.log"):
            yield


@pytest.fixture
def table(worker: None, shared_engine: Engine) -> Iterator[Engine]:
    yield shared_engine
    empty(shared_engine)


@pytest.fixture(autouse=True)
def spool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, valkey: Valkey) -> Path:
    """Bots store their files here, and publish to the test's Redis."""
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture
def queue(valkey: Valkey) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
def server() -> Iterator[Telegram]:
    with Telegram() as server:
        server.administrator_in = {HARBOUR["id"], BOATS_AFTER["id"]}
        yield server


def at(minute: int, second: int = 0) -> datetime:
    return NOON + timedelta(minutes=minute, seconds=second)


def rows(engine: Engine) -> list[Row]:
    """Return all stored events in order of time."""
    query = text(
        "SELECT to_char(occurred_at AT TIME ZONE 'UTC', 'MI:SS'), event_type, community_id, channel_id, member_id, "
        "object_id, actor_kind, metadata FROM participation_events "
        "WHERE platform = 'telegram' AND object_author_id IS NULL ORDER BY occurred_at, channel_id, event_type, 8"
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def stored(engine: Engine, redis: Redis, expected: list[Row]) -> None:
    """Wait until nothing is left in Redis. Then exactly these rows must be stored."""
    eventually(lambda: len(rows(engine)) >= len(expected) and not [*redis.scan_iter("participation.*")])
    assert rows(engine) == expected


def in_harbour(
    when: str, what: str, who: Json, message_id: int | None = None, kind: str = "user", **metadata: object
) -> Row:
    chat = str(HARBOUR["id"])
    object_id = None if message_id is None else str(message_id)
    return when, what, f"telegram:{chat}", chat, str(who["id"]), object_id, kind, metadata


def in_boats(when: str, what: str, who: Json, message_id: int | None = None, chat: Json = BOATS) -> Row:
    object_id = None if message_id is None else str(message_id)
    return when, what, "boats", str(chat["id"]), str(who["id"]), object_id, "user", {}


def first_half() -> list[Json]:
    """Return the updates before the bot is restarted. The restart is in the middle of an album."""
    message = tg.message(HARBOUR, ADA, 10, at(1))
    return [
        tg.membership(HARBOUR, OURSELVES, "left", "administrator", at(0)),
        message,
        tg.edited(message, at(2), "ahoy!"),
        tg.message(HARBOUR, BEN, 11, at(3), text="x", message_thread_id=5, is_topic_message=True),
        tg.message(HARBOUR, BEN, 12, at(4), text="x", message_thread_id=10, reply_to_message=message["message"]),
        tg.message(HARBOUR, ADA, 13, at(5), new_chat_members=[CLEO]),
        tg.membership(HARBOUR, CLEO, "left", "member", at(5)),
        tg.message(HARBOUR, ADA, 14, at(6), pinned_message=message["message"]),
        tg.message(HARBOUR, tg.ANONYMOUS_ADMIN, 15, at(7), text="x", sender_chat=HARBOUR),
        tg.message(HARBOUR, tg.TELEGRAM, 16, at(8), text="post", sender_chat=NEWS, is_automatic_forward=True),
        tg.message(HARBOUR, tg.CHANNEL_BOT, 17, at(9), text="x", sender_chat=NEWS),
        tg.message(HARBOUR, ADA, 18, at(10), text="x", via_bot=ROBOT),
        tg.message(HARBOUR, ROBOT, 19, at(11), text="x"),
        tg.message(tg.private(ADA), ADA, 1, at(12), text="hello bot"),
        tg.message(HARBOUR, BEN, 20, at(13), voice=tg.file(duration=21)),
        tg.reaction(HARBOUR, BEN, 10, [], [tg.thumb()], at=at(14)),
        tg.reaction(HARBOUR, BEN, 10, [tg.thumb()], [tg.thumb("🔥"), tg.custom("777")], at=at(15)),
        tg.reaction(HARBOUR, NEWS, 10, [], [tg.thumb()], at=at(16)),
        tg.membership(HARBOUR, CLEO, "member", "restricted+", at(17)),
        tg.membership(HARBOUR, CLEO, "restricted+", "restricted-", at(18)),
        tg.membership(HARBOUR, CLEO, "restricted-", "kicked", at(19)),
        tg.membership(HARBOUR, BEN, "member", "administrator", at(20)),
        tg.membership(HARBOUR, ROBOT, "left", "member", at(21)),
        tg.message(BOATS, ADA, 10, at(22)),
        *tg.migrated(BOATS, BOATS_AFTER, at(23)),
        tg.membership(BOATS, OURSELVES, "member", "left", at(23)),
        tg.message(BOATS_AFTER, ADA, 2, at(24)),
        *(tg.message(HARBOUR, ADA, number, at(25), photo=tg.photo(), media_group_id="13379") for number in (30, 31)),
    ]


def second_half() -> list[Json]:
    return [
        tg.message(HARBOUR, ADA, 32, at(25), photo=tg.photo(), media_group_id="13379"),
        tg.message(BOATS_AFTER, BEN, 3, at(31)),
        tg.reaction(BOATS_AFTER, ADA, 3, [], [tg.thumb()], at=at(32)),
        tg.membership(HARBOUR, BEN, "administrator", "left", at(33)),
        tg.message(HARBOUR, ADA, 33, at(34), video_chat_started={}),
        tg.message(HARBOUR, ADA, 34, at(59, 59)),
    ]


HOUR: list[Row] = [
    in_harbour("01:00", "MESSAGE_SENT", ADA, 10),
    in_harbour("03:00", "MESSAGE_SENT", BEN, 11, topic_id="5"),
    in_harbour("04:00", "MESSAGE_SENT", BEN, 12, reply_to="10"),
    in_harbour("05:00", "MEMBER_JOINED", CLEO),
    in_harbour("07:00", "MESSAGE_SENT", HARBOUR, 15, "anonymous"),
    in_harbour("09:00", "MESSAGE_SENT", NEWS, 17, "anonymous"),
    in_harbour("10:00", "MESSAGE_SENT", ADA, 18),
    in_harbour("11:00", "MESSAGE_SENT", ROBOT, 19, "bot"),
    in_harbour("13:00", "MESSAGE_SENT", BEN, 20, duration_seconds=21),
    in_harbour("14:00", "REACTION_ADDED", BEN, 10, emoji="👍"),
    in_harbour("15:00", "REACTION_ADDED", BEN, 10, emoji="777"),
    in_harbour("15:00", "REACTION_ADDED", BEN, 10, emoji="🔥"),
    in_harbour("15:00", "REACTION_REMOVED", BEN, 10, emoji="👍"),
    in_harbour("16:00", "REACTION_ADDED", NEWS, 10, "anonymous", emoji="👍"),
    in_harbour("18:00", "MEMBER_LEFT", CLEO, reason="left"),
    in_harbour("21:00", "MEMBER_JOINED", ROBOT, None, "bot"),
    in_boats("22:00", "MESSAGE_SENT", ADA, 10),
    in_boats("24:00", "MESSAGE_SENT", ADA, 2, BOATS_AFTER),
    in_harbour("25:00", "MESSAGE_SENT", ADA, 30),
    in_boats("31:00", "MESSAGE_SENT", BEN, 3, BOATS_AFTER),
    (*in_boats("32:00", "REACTION_ADDED", ADA, 3, BOATS_AFTER)[:-1], {"emoji": "👍"}),
    in_harbour("33:00", "MEMBER_LEFT", BEN, reason="left"),
    in_harbour("59:59", "MESSAGE_SENT", ADA, 34),
]


@libraries
def test_hour__is_stored_exactly(make: MakeBot, server: Telegram, table: Engine, queue: Redis) -> None:
    """Everything that counts is stored once, with its own time.

    The bot is restarted in the middle of an album. Then it is restarted once more, and gets all updates again.
    """
    communities = {BOATS["id"]: "boats"}
    with make(server, communities):
        server.wait_until_polled()
        server.happens(*first_half())
        server.wait_until_polled()
    server.happens(*second_half())
    with make(server, communities) as bot:
        eventually(lambda: len(bot.heard) >= len(second_half()))
        server.wait_until_polled()
    server.deliver_again()
    with make(server, communities) as bot:
        eventually(lambda: len(bot.heard) >= len(first_half()) + len(second_half()))
    stored(table, queue, HOUR)
    assert len(bot.heard) == len(first_half()) + len(second_half())


@libraries
def test_album__imported_after_it_was_recorded_is_stored_once(
    make: MakeBot, server: Telegram, table: Engine, tmp_path: Path
) -> None:
    """An export does not tell what is an album. By the rule for exports, its first message is the same event."""
    pictures = [tg.message(HARBOUR, ADA, n, at(1), photo=tg.photo(), media_group_id="13379") for n in (30, 31, 32)]
    with make(server) as bot:
        server.wait_until_polled()
        server.happens(*pictures)
        eventually(lambda: len(bot.heard) >= len(pictures))
    history = tmp_path / "history.ndjson"
    history.write_bytes(
        orjson.dumps(
            {
                "event_type": "MESSAGE_SENT",
                "platform": "telegram",
                "community_id": "telegram:-1001000000001",
                "channel_id": "-1001000000001",
                "member_id": "7000000001",
                "object_id": "30",
                "occurred_at": "2026-03-10T13:01:00+01:00",
            }
        )
    )
    imported = run("import", "events", history)
    assert imported.stdout == b"accepted 1   stored 0   duplicates 1   dead 0\n"
    assert rows(table) == [in_harbour("01:00", "MESSAGE_SENT", ADA, 30)]
