"""The example for Telegram in JavaScript, with Debian's Node, the stand-in for Telegram, a real Valkey and a worker."""

from collections import Counter
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
from participation.local.valkey import Valkey
from participation.store.database import connect
from tests.standins.telegram import TOKEN, Telegram
from tests.standins.telegram_updates import (
    ADA,
    ANONYMOUS_ADMIN,
    BEN,
    BOATS,
    BOATS_AFTER,
    CHANNEL_BOT,
    CLEO,
    HARBOUR,
    NEWS,
    NEWS_DIRECT,
    OURSELVES,
    ROBOT,
    TELEGRAM,
    Json,
    custom,
    file,
    membership,
    message,
    migrated,
    photo,
    private,
    reaction,
    thumb,
)
from tests.system.node_bots import NodeBot, events, names, node_bot, queued
from tests.worker import at_rest, eventually, running

TOPIC = message(HARBOUR, ADA, 50, forum_topic_created={"name": "Sails", "icon_color": 1}, is_topic_message=True)
TOPIC["message"]["message_thread_id"] = 50
IN_TOPIC: Json = {"message_thread_id": 50, "is_topic_message": True, "reply_to_message": TOPIC["message"]}

UPDATES = [
    message(HARBOUR, ADA, 1),
    message(HARBOUR, BEN, 2, photo=photo()),
    message(HARBOUR, ROBOT, 3),
    message(HARBOUR, ANONYMOUS_ADMIN, 4, text="ahoy", sender_chat=HARBOUR),
    message(HARBOUR, CHANNEL_BOT, 5, text="ahoy", sender_chat=NEWS),
    message(HARBOUR, ADA, 6, voice=file(duration=7)),
    message(HARBOUR, BEN, 7, text="yes", reply_to_message=message(HARBOUR, ADA, 1)["message"]),
    reaction(HARBOUR, BEN, 1, [], [thumb(), custom("5368324170671202286")]),
    reaction(HARBOUR, BEN, 1, [thumb()], [thumb("🔥")]),
    reaction(HARBOUR, NEWS, 1, [], [thumb(), {"type": "paid"}]),
    *(message(HARBOUR, BEN, number, photo=photo(), media_group_id="13379") for number in (9, 10, 11)),
    TOPIC,
    message(HARBOUR, CLEO, 51, text="in a topic", **IN_TOPIC),
    membership(HARBOUR, CLEO, "left", "member"),
    membership(HARBOUR, CLEO, "member", "restricted+"),
    membership(HARBOUR, CLEO, "restricted+", "kicked"),
    membership(HARBOUR, OURSELVES, "left", "administrator"),
    membership(BOATS, OURSELVES, "member", "left"),
    *migrated(BOATS, BOATS_AFTER),
    message(private(ADA), ADA, 15),
    message(HARBOUR, TELEGRAM, 16, text="news", sender_chat=NEWS, is_automatic_forward=True),
    message(HARBOUR, ADA, 17, new_chat_title="Harbour"),
    message(NEWS_DIRECT, ADA, 18),
    reaction(NEWS_DIRECT, BEN, 18, [], [thumb()]),
]


@pytest.fixture
def server() -> Iterator[Telegram]:
    with Telegram() as server:
        server.administrator_in |= {HARBOUR["id"], NEWS_DIRECT["id"]}
        yield server


@pytest.fixture
def bot(node_program: Path, server: Telegram, valkey: Valkey, redis: Redis, tmp_path: Path) -> Iterator[NodeBot]:
    where = {"REDIS_URL": valkey.url, "BOT_TOKEN": TOKEN, "BOT_API_URL": server.url}
    with node_bot(node_program, tmp_path, "telegram-bot.js", **where) as bot:
        bot.start(server.polls)
        yield bot


def expected(updates: list[Json]) -> Counter[str]:
    """Return the event ids that the Python adapters give to these updates."""
    read = [aiogram.types.Update.model_validate({"update_id": 1, **update}) for update in updates]
    is_first = Albums().is_first
    found = chain.from_iterable(
        mapping.events(update, lambda chat_id: f"telegram:{chat_id}", is_first) for update in read
    )
    return Counter(event.event_id(each).hex for each in found)


def test_telegram__its_events_are_those_of_the_adapters(bot: NodeBot, server: Telegram, redis: Redis) -> None:
    """The same updates give the same event ids as in the Python adapters. What is no event is none in both."""
    server.happens(*UPDATES)
    server.wait_until_polled()
    bot.stop()
    sent = events(redis)
    assert Counter(event.event_id(each).hex for each in sent) == expected(UPDATES)
    assert len(sent) == 17
    assert Counter(each.actor_kind for each in sent) == {"user": 12, "anonymous": 4, "bot": 1}
    assert bot.spooled() == []


def test_telegram__metadata_says_what_was_answered_and_where(bot: NodeBot, server: Telegram, redis: Redis) -> None:
    """A topic's first message is not what is answered. There is no text."""
    answer = {**IN_TOPIC, "reply_to_message": message(HARBOUR, CLEO, 51)["message"]}
    server.happens(*UPDATES, message(HARBOUR, ADA, 52, text="yes", **answer))
    server.happens(membership(HARBOUR, CLEO, "member", "left"))
    by_link = membership(HARBOUR, BEN, "left", "member")
    link = {"creator": ADA, "creates_join_request": False, "is_primary": False, "is_revoked": False, "name": "market"}
    by_link["chat_member"]["invite_link"] = {"invite_link": "https://t.me/+a", **link}
    server.happens(by_link)
    server.wait_until_polled()
    bot.stop()
    sent = events(redis)
    found = {each.object_id: each.metadata for each in sent if each.event_type == "MESSAGE_SENT"}
    assert {number: metadata for number, metadata in found.items() if metadata} == {
        "6": {"duration_seconds": 7},
        "7": {"reply_to": "1"},
        "51": {"topic_id": "50"},
        "52": {"topic_id": "50", "reply_to": "51"},
    }
    moves = [each.metadata for each in sent if each.event_type in ("MEMBER_JOINED", "MEMBER_LEFT")]
    assert moves == [{}, {"reason": "banned"}, {"reason": "left"}, {"invite": "market"}]


def test_telegram__names_are_told_when_they_are_new(bot: NodeBot, server: Telegram, redis: Redis) -> None:
    """Accounts, chats, topics and the former id of a group: each once, and again only when it changes."""
    server.happens(*UPDATES)
    server.wait_until_polled()
    eventually(lambda: len(events(redis)) == 17)
    told = queued(redis, keys.NOTE_NAMES)
    server.happens(*UPDATES)
    renamed = {**BEN, "first_name": "Benjamin", "last_name": "Boat"}
    server.happens(message(HARBOUR, renamed, 60), message(HARBOUR, renamed, 61))
    server.wait_until_polled()
    bot.stop()
    found = names(redis)
    common = {"platform": "telegram", "community_id": "telegram:-1001000000001", "seen_at": "2026-03-10T12:00:00.000Z"}
    harbour = "-1001000000001"
    assert found["account", "42"] == common | {"kind": "account", "id": "42", "name": "Benjamin Boat", "username": None}
    assert found["account", "7000000001"]["username"] == "ada_tg"
    assert found["account", "43"]["joined_at"] == "2026-03-10T12:00:00.000Z"
    assert found["account", "-1001000000009"]["name"] == "News"
    assert found["space", harbour] == common | {"kind": "space", "id": harbour, "name": "Harbour"}
    assert found["channel", harbour]["is_public"] is True
    topic = {"kind": "channel", "id": f"{harbour}/50", "name": "Sails", "parent_id": harbour, "is_public": True}
    assert found["channel", f"{harbour}/50"] == common | topic
    assert found["space", "-1001000004001"]["former_id"] == "-4001"
    assert queued(redis, keys.NOTE_NAMES)[:-1] == told


@pytest.mark.usefixtures("environment")
def test_telegram__a_worker_stores_all_of_it(
    bot: NodeBot, server: Telegram, redis: Redis, database: str, tmp_path: Path
) -> None:
    """Events, names and presence are in the tables. No message is a dead letter."""
    server.happens(*UPDATES)
    server.wait_until_polled()
    bot.stop()
    number = len(events(redis))
    engine = connect(database)
    with running(tmp_path / "worker.log"):
        eventually(lambda: at_rest(redis, engine, number))
    kinds = read(engine, "SELECT event_type, count(*) FROM participation_events GROUP BY 1")
    assert dict(kinds) == {
        "MESSAGE_SENT": 9,
        "REACTION_ADDED": 5,
        "REACTION_REMOVED": 1,
        "MEMBER_JOINED": 1,
        "MEMBER_LEFT": 1,
    }
    topics = "SELECT channel_id, name, parent_id, is_public FROM channel_names WHERE parent_id IS NOT NULL"
    assert read(engine, topics) == [("-1001000000001/50", "Sails", "-1001000000001", True)]
    assert read(engine, "SELECT name FROM account_names WHERE account_id = '42'") == [("Ben",)]
    assert read(engine, "SELECT name FROM space_names ORDER BY 1") == [("Boats",), ("Boats",), ("Harbour",)]
    # Telegram says that the bot was removed from the group that became a supergroup, but it is still there.
    presence = read(engine, "SELECT space_id, is_present FROM community_bots ORDER BY 1")
    assert presence == [("-1001000000001", True), ("-1001000004001", True), ("-4001", True)]
    assert read(engine, "SELECT detail FROM dead_letters") == []
    engine.dispose()


def test_telegram__an_album_counts_once_over_a_restart(bot: NodeBot, server: Telegram, redis: Redis) -> None:
    """The bot restarts in the middle of an album, and gets messages again."""
    album = [message(HARBOUR, BEN, number, photo=photo(), media_group_id="13379") for number in (9, 10, 11)]
    server.happens(*album[:2])
    server.wait_until_polled()
    bot.stop()
    server.happens(album[2])
    bot.start(server.polls)
    server.wait_until_polled()
    server.deliver_again()
    server.wait_until_polled()
    bot.stop()
    assert {each.object_id for each in events(redis)} == {"9"}


def read(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]
