"""The adapters for Telegram in a bot, as far as Redis. They see every update first, and do not affect the bot."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import aiogram
import pytest
import telegram
from aiogram.dispatcher.event.bases import UNHANDLED
from aiogram.methods import SendMessage
from redis import Redis
from telegram.ext import (
    Application,
    ApplicationHandlerStop,
    CallbackContext,
    ContextTypes,
    Defaults,
    MessageHandler,
    PicklePersistence,
    TypeHandler,
    filters,
)

from participation import keys
from participation.bots.aiogram import Participation
from participation.bots.telegram import ALLOWED_UPDATES, add_participation
from participation.local.valkey import Valkey
from tests.integration.telegram_bots import BOTS, AiogramBot, TelegramBot, application, close, session
from tests.standins import telegram_updates as tg
from tests.standins.telegram import TOKEN, Refused, Telegram
from tests.standins.telegram_updates import (
    ADA,
    BEN,
    BOATS,
    BOATS_AFTER,
    HARBOUR,
    NEWS_DIRECT,
    NOON,
    OURSELVES,
    Json,
)
from tests.worker import eventually, queued

MakeBot = type[AiogramBot] | type[TelegramBot]
AnyApplication = Application[Any, Any, Any, Any, Any, Any]

libraries = pytest.mark.parametrize("make", BOTS.values(), ids=BOTS)

UPDATES = [
    tg.message(HARBOUR, ADA, 1),
    tg.message(HARBOUR, BEN, 2),
    tg.reaction(HARBOUR, BEN, 1, [], [tg.thumb()]),
    tg.membership(HARBOUR, BEN, "member", "left"),
]
OBJECTS = ["1", "2", "1", None]
"""The object ids of the events of `UPDATES`."""


@pytest.fixture
def redis(valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Redis]:
    """A database of the server that no worker reads."""
    url = valkey.url.rsplit("/", 1)[0] + "/5"
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / "spool"))
    with Redis.from_url(url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def server() -> Iterator[Telegram]:
    with Telegram() as server:
        server.administrator_in = {HARBOUR["id"], BOATS["id"], BOATS_AFTER["id"]}
        yield server


def sent(redis: Redis) -> list[dict[str, Any]]:
    """Return the events in the queue, the oldest first."""
    return queued(redis, keys.TRACK_EVENT)


def objects(redis: Redis) -> list[object]:
    return [event.get("object_id") for event in sent(redis)]


def notices(redis: Redis) -> list[tuple[str, str, bool]]:
    """Return the notices of presence in the queue: the community, the chat, and whether the bot is there."""
    told = queued(redis, keys.NOTE_PRESENCE)
    return [(each["community_id"], each["space_id"], each["is_present"]) for each in told]


def run_with(make: MakeBot, server: Telegram, *updates: Json) -> AiogramBot | TelegramBot:
    """Run a bot until its own handlers have received these updates, and stop it."""
    with make(server) as bot:
        server.wait_until_polled()
        server.happens(*updates)
        eventually(lambda: len(bot.heard) >= len(updates))
    return bot


# ---- the bot is not affected ----


@libraries
def test_bot__gets_every_update_in_order_as_without_us(make: MakeBot, server: Telegram, redis: Redis) -> None:
    """The bot's own handlers get every update, whether the adapter records it or not."""
    updates = [*UPDATES, tg.message(tg.private(ADA), ADA, 5), tg.edited(UPDATES[0], NOON, "x")]
    heard: list[list[int]] = []
    for is_installed in (False, True):
        with make(server, installed=is_installed) as bot:
            server.wait_until_polled()
            server.happens(*updates)
            eventually(lambda bot=bot: len(bot.heard) >= len(updates))  # type: ignore[misc]
        first = bot.heard[0]
        heard.append([number - first for number in bot.heard])
    assert heard == [[*range(len(updates))]] * 2
    assert objects(redis) == OBJECTS


@libraries
def test_bot__that_fails_fails_as_without_us(
    make: MakeBot, server: Telegram, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The library handles an exception of the bot's own handler as usual, and the next update arrives."""
    with make(server) as bot:
        bot.fails = True
        server.wait_until_polled()
        server.happens(*UPDATES)
        eventually(lambda: len(bot.heard) >= len(UPDATES))
    assert objects(redis) == OBJECTS
    if isinstance(bot, TelegramBot):
        assert [str(error) for error in bot.errors] == ["the bot's own mistake"] * len(UPDATES)
    else:
        assert caplog.text.count("ValueError: the bot's own mistake") >= len(UPDATES)


@libraries
def test_adapter__that_fails_is_not_noticed(
    make: MakeBot, server: Telegram, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """An update that gives no valid event (its time is years ahead) is logged, and the bot still handles it."""
    wrong = tg.message(HARBOUR, ADA, 9, NOON + timedelta(days=20_000))
    bot = run_with(make, server, wrong, *UPDATES)
    assert len(bot.heard) == 1 + len(UPDATES)
    assert objects(redis) == OBJECTS
    assert "event_lost platform=telegram" in caplog.text
    assert getattr(bot, "errors", []) == []


@libraries
def test_adapter__without_a_folder_to_write_to_is_not_noticed(
    make: MakeBot, server: Telegram, redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the chats cannot be stored, everything is still recorded, and the log says what will be forgotten."""
    (tmp_path / "spool").write_text("a file, where the folder should be")
    run_with(make, server, *UPDATES, *tg.migrated(BOATS, BOATS_AFTER), tg.message(BOATS_AFTER, ADA, 2))
    assert objects(redis) == [*OBJECTS, "2"]
    assert sent(redis)[-1]["community_id"] == "telegram:-4001"
    assert "when the bot ends, it forgets which groups got a new id" in caplog.text


# ---- aiogram ----


def fed(dispatcher: aiogram.Dispatcher, server: Telegram, *updates: Json, webhook: bool = False) -> list[Any]:
    """Feed the updates to the dispatcher, shut it down, and return its results."""

    async def feed() -> list[Any]:
        bot = aiogram.Bot(TOKEN, session=(http := session(server)))
        read = [aiogram.types.Update.model_validate({"update_id": 1, **update}) for update in updates]
        give: Any = dispatcher.feed_webhook_update if webhook else dispatcher.feed_update
        try:
            return [await give(bot, update) for update in read]
        finally:
            await dispatcher.emit_shutdown()
            await close(http)

    return asyncio.run(feed())


def installed(communities: Any = None) -> aiogram.Dispatcher:
    dispatcher = aiogram.Dispatcher()
    Participation(communities).setup(dispatcher)
    return dispatcher


def test_aiogram__asks_for_what_is_needed_and_for_what_the_bot_handles(redis: Redis) -> None:
    """aiogram asks for the types of updates for which there are handlers."""
    dispatcher = aiogram.Dispatcher()
    dispatcher.callback_query.register(lambda _: None)
    Participation().setup(dispatcher)
    assert set(dispatcher.resolve_used_update_types()) == {*ALLOWED_UPDATES, "callback_query"}


def test_aiogram__sees_what_the_bots_own_middleware_drops(server: Telegram, redis: Redis) -> None:
    """Updates are recorded even if an older middleware of the bot, for example a flood guard, drops them."""
    dispatcher = aiogram.Dispatcher()

    async def drop(_handler: Any, _update: Any, _data: Any) -> None:
        return None

    dispatcher.update.outer_middleware(drop)
    Participation().setup(dispatcher)
    fed(dispatcher, server, *UPDATES)
    assert objects(redis) == OBJECTS


@pytest.mark.parametrize("handled", [True, False])
def test_aiogram__middlewares_run_as_often_as_without_us(handled: bool, server: Telegram, redis: Redis) -> None:
    """Inner middlewares run once for an update that the bot handles, and not at all for other updates."""
    ran: list[str] = []

    def middleware(name: str) -> Callable[[Any, Any, Any], Awaitable[Any]]:
        async def run(handler: Any, event: Any, data: Any) -> Any:
            ran.append(name)
            return await handler(event, data)

        return run

    async def handle(_message: Any) -> str:
        return "answer"

    dispatcher = aiogram.Dispatcher()
    dispatcher.message.outer_middleware(middleware("outer"))
    dispatcher.message.middleware(middleware("inner"))
    Participation().setup(dispatcher)
    if handled:
        later = aiogram.Router()
        later.message.register(handle)
        dispatcher.include_router(later)
    results: list[Any] = fed(dispatcher, server, UPDATES[0])
    assert ran == (["outer", "inner"] if handled else ["outer"])
    expected: list[Any] = ["answer" if handled else UNHANDLED]
    assert results == expected
    assert objects(redis) == ["1"]


def test_aiogram__webhook_gets_the_handlers_answer(server: Telegram, redis: Redis) -> None:
    """A handler's result is returned as the answer to the webhook."""
    dispatcher = aiogram.Dispatcher()
    answer = SendMessage(chat_id=1, text="hello")

    async def handle(_message: Any) -> SendMessage:
        return answer

    dispatcher.message.register(handle)
    Participation().setup(dispatcher)
    assert fed(dispatcher, server, *UPDATES[:2], webhook=True) == [answer, answer]
    assert objects(redis) == ["1", "2"]


def test_aiogram__handlers_exception_goes_through(server: Telegram, redis: Redis) -> None:
    """An exception of the bot's handler reaches the code that feeds the update."""
    dispatcher = aiogram.Dispatcher()

    async def fail(_message: Any) -> None:
        raise ValueError("the bot's own mistake")

    dispatcher.message.register(fail)
    Participation().setup(dispatcher)
    with pytest.raises(ValueError, match="own mistake"):
        fed(dispatcher, server, UPDATES[0])
    assert objects(redis) == ["1"]


def test_aiogram__flushes_though_the_bots_own_shutdown_fails(server: Telegram, redis: Redis) -> None:
    """A shutdown handler of the bot that raises ends the shutdown. The adapter's handler runs before it."""
    dispatcher = aiogram.Dispatcher()

    async def fail() -> None:
        assert objects(redis) == OBJECTS
        raise ValueError("cannot say good-bye")

    dispatcher.shutdown.register(fail)
    Participation().setup(dispatcher)
    with pytest.raises(ValueError, match="good-bye"):
        fed(dispatcher, server, *UPDATES)
    assert objects(redis) == OBJECTS


def test_aiogram__bots_of_one_dispatcher_are_one_witness(server: Telegram, redis: Redis) -> None:
    """Two bots in one group give the same events. The group counts as left when the second bot is removed."""
    dispatcher = aiogram.Dispatcher()
    Participation().setup(dispatcher)
    other = {**OURSELVES, "id": 999}
    gone = tg.membership(HARBOUR, OURSELVES, "member", "left")
    other_gone = json.loads(json.dumps(gone).replace(str(OURSELVES["id"]), "999"))

    async def feed() -> None:
        async with (
            aiogram.Bot("123456:x", session=session(server)) as one,
            aiogram.Bot("999:x", session=session(server)) as two,
        ):
            for bot, update in ((one, UPDATES[0]), (two, UPDATES[0]), (one, gone), (two, other_gone)):
                await dispatcher.feed_raw_update(bot, {"update_id": 1, **update})
            await dispatcher.emit_shutdown()

    asyncio.run(feed())
    assert other_gone["my_chat_member"]["new_chat_member"]["user"] == other
    first, second = sent(redis)
    assert first == second
    told = notices(redis)
    assert {each[:2] for each in told} == {("telegram:-1001000000001", "-1001000000001")}
    assert [is_present for _, _, is_present in told] == [True, False]


# ---- python-telegram-bot ----


def processed(app: AnyApplication, *updates: Json) -> None:
    """Let the application process the updates without running it."""

    async def process() -> None:
        async with app:
            for number, update in enumerate(updates):
                await app.process_update(telegram.Update.de_json({"update_id": number, **update}, app.bot))

    asyncio.run(process())


def closed(app: AnyApplication) -> None:
    """Call the hooks that `run_polling` calls at the end."""
    for hook in (app.post_stop, app.post_shutdown):
        assert hook is not None
        asyncio.run(hook(app))


def test_telegram__sees_what_the_bot_stops(server: Telegram, redis: Redis) -> None:
    """A handler of the bot that stops an update runs after the adapter, even with a low group."""
    heard = []

    async def stop(update: telegram.Update, _context: Any) -> None:
        heard.append(update.update_id)
        raise ApplicationHandlerStop

    app: AnyApplication = application(server).build()
    app.add_handler(TypeHandler(telegram.Update, stop), group=-100)
    add_participation(app)
    processed(app, *UPDATES)
    closed(app)
    assert heard == [0, 1, 2, 3]
    assert objects(redis) == OBJECTS


@pytest.mark.parametrize("parallel", [False, True])
def test_telegram__defaults_and_concurrency_change_nothing(parallel: bool, server: Telegram, redis: Redis) -> None:
    """The adapter sees the updates in order, also with handlers that do not block and with concurrent updates."""
    builder = application(server).defaults(Defaults(block=False)).concurrent_updates(parallel)
    app = builder.build()
    add_participation(app)

    async def run() -> None:
        async with app:
            await app.start()
            for number, update in enumerate(UPDATES):
                await app.update_queue.put(telegram.Update.de_json({"update_id": number, **update}, app.bot))
            await app.update_queue.join()
            await app.stop()

    asyncio.run(run())
    closed(app)
    assert objects(redis) == OBJECTS


def test_telegram__leaves_the_bots_saved_data_alone(server: Telegram, redis: Redis, tmp_path: Path) -> None:
    """A bot with persistence saves data only for the chats and users that its own handlers serve."""

    async def handle(_update: telegram.Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert context.user_data is not None
        context.user_data["seen"] = True

    persistence = PicklePersistence(tmp_path / "saved")
    app = application(server).persistence(persistence).build()
    app.add_handler(MessageHandler(filters.User(BEN["id"]), handle))
    add_participation(app)
    processed(app, *UPDATES)
    closed(app)
    assert {*(persistence.user_data or ())} == {BEN["id"]}
    assert {*(persistence.chat_data or ())} == {HARBOUR["id"]}
    assert objects(redis) == OBJECTS


class _Costly(CallbackContext[Any, Any, Any, Any]):
    """A context class of the bot. It must not be created for updates that the bot does not handle."""

    made = 0

    @classmethod
    def from_update(cls, update: object, application: Any) -> "_Costly":
        cls.made += 1
        return super().from_update(update, application)


def test_telegram__makes_no_context_of_its_own(server: Telegram, redis: Redis) -> None:
    """No context is created for an update that no handler of the bot handles."""
    app: AnyApplication = application(server).context_types(ContextTypes(context=_Costly)).build()
    add_participation(app)
    processed(app, *UPDATES)
    closed(app)
    assert _Costly.made == 0
    assert objects(redis) == OBJECTS


@pytest.mark.parametrize("fails", [False, True])
def test_telegram__hooks_of_the_bot_are_called_and_the_rest_is_flushed(
    fails: bool, server: Telegram, redis: Redis
) -> None:
    """The bot's own hooks run before the adapter's hooks. The adapter's hooks run even if they fail."""
    called = []

    async def post_stop(app: AnyApplication) -> None:
        called.append(("stop", app))
        if fails:
            raise ValueError("cannot say good-bye")

    async def post_shutdown(app: AnyApplication) -> None:
        called.append(("shutdown", app))

    app = application(server).post_stop(post_stop).build()
    app.post_shutdown = post_shutdown
    add_participation(app)
    processed(app, *UPDATES)
    if fails:
        with pytest.raises(ValueError, match="good-bye"):
            closed(app)
    else:
        closed(app)
    assert called == [("stop", app), ("shutdown", app)][: 1 if fails else 2]
    assert objects(redis) == OBJECTS


def test_telegram__is_closed_by_hand_where_nobody_runs_the_application(server: Telegram, redis: Redis) -> None:
    """A program that starts and stops the application itself closes the object that `add_participation` returns."""
    app = application(server).build()
    participation = add_participation(app)

    async def run() -> None:
        async with app:
            await app.process_update(telegram.Update.de_json({"update_id": 1, **UPDATES[0]}, app.bot))
            await participation.close()

    asyncio.run(run())
    assert objects(redis) == ["1"]


# ---- the self-check ----


def test_telegram__forgotten_allowed_updates_are_noticed(
    server: Telegram, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """If `allowed_updates` is missing, the first update logs what the bot does not see."""
    bot = TelegramBot(server)
    bot.allowed_updates = None
    with bot:
        server.wait_until_polled()
        server.happens(*UPDATES)
        eventually(lambda: "telegram_incomplete" in caplog.text)
    assert (
        "the bot does not ask for updates of the type message_reaction, chat_member, so it does not see reactions, "
        "joins and leaves; pass allowed_updates where"
    ) in caplog.text
    assert objects(redis) == ["1", "2"]


@libraries
def test_check__says_nothing_when_nothing_is_missing(
    make: MakeBot, server: Telegram, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """A bot that is set up as the documentation says logs nothing at the start."""
    with make(server) as bot:
        server.wait_until_polled()
        server.happens(*UPDATES)
        eventually(lambda: len(bot.heard) >= 4 and len(server.called("getMe")) >= 2)
    assert "telegram_" not in caplog.text.replace("telegram_bots", "")
    assert len(server.called("getWebhookInfo")) == 1


@libraries
def test_check__that_fails_is_not_noticed(
    make: MakeBot, server: Telegram, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """If Telegram does not answer the check, this is logged without the token, and the bot continues."""
    server.refuse["getWebhookInfo"] = Refused(500, "Internal Server Error")
    with make(server) as bot:
        server.wait_until_polled()
        server.happens(*UPDATES)
        eventually(lambda: len(bot.heard) >= 4 and "telegram_not_checked bot=123456" in caplog.text)
    assert objects(redis) == OBJECTS
    assert TOKEN not in caplog.text


@libraries
def test_bot__that_is_no_administrator_is_told_so(
    make: MakeBot, server: Telegram, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """If the bot is added without rights, the log says at once what it does not see."""
    run_with(make, server, tg.membership(HARBOUR, OURSELVES, "left", "member"))
    assert (
        "chat=-1001000000001: the bot is not an administrator there, so it does not see reactions, joins and leaves"
    ) in caplog.text


# ---- presence and migration ----


@libraries
def test_presence__is_noted_when_the_bot_comes_and_goes(make: MakeBot, server: Telegram, redis: Redis) -> None:
    """A removal and a return are noted. A change of the bot's rights is not a removal."""
    steps = ["left", "member", "administrator", "restricted+", "kicked", "member"]
    changes = [tg.membership(HARBOUR, OURSELVES, *step) for step in pairwise(steps)]
    run_with(make, server, *changes)
    known = [is_present for community, _, is_present in notices(redis) if community == "telegram:-1001000000001"]
    assert known[-2:] == [False, True]
    assert known.count(False) == 1
    assert sent(redis) == []


@libraries
def test_direct_messages__to_a_channel_are_neither_recorded_nor_noted(
    make: MakeBot, server: Telegram, redis: Redis, tmp_path: Path
) -> None:
    """A bot that administers a channel receives them, but they are private: no event, no notice, no group."""
    server.administrator_in.add(NEWS_DIRECT["id"])
    private = [
        tg.membership(NEWS_DIRECT, OURSELVES, "left", "administrator"),
        tg.message(NEWS_DIRECT, ADA, 1),
        tg.reaction(NEWS_DIRECT, BEN, 1, [], [tg.thumb()]),
        tg.membership(NEWS_DIRECT, BEN, "left", "member"),
        tg.membership(NEWS_DIRECT, OURSELVES, "administrator", "left"),
    ]
    run_with(make, server, *private, UPDATES[0])
    assert objects(redis) == OBJECTS[:1]
    assert {space_id for _, space_id, _ in notices(redis)} == {str(HARBOUR["id"])}
    assert str(NEWS_DIRECT["id"]) not in str(queued(redis, keys.NOTE_NAMES))
    assert str(NEWS_DIRECT["id"]) not in (tmp_path / "spool" / "telegram-chats.json").read_text()


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_migration__is_no_removal_in_whatever_order_it_is_told(
    order: tuple[int, ...], server: Telegram, redis: Redis
) -> None:
    """The old chat ends, but the community continues, so the last notice says that the bot is present."""
    told = [*tg.migrated(BOATS, BOATS_AFTER), tg.membership(BOATS, OURSELVES, "member", "left")]
    fed(installed(), server, tg.message(BOATS, ADA, 3), *(told[number] for number in order))
    assert notices(redis)[-1] == ("telegram:-4001", "-4001", True)
    fed(installed(), server, tg.message(BOATS_AFTER, ADA, 2))
    assert [event["community_id"] for event in sent(redis)] == ["telegram:-4001"] * 2
    assert [event["channel_id"] for event in sent(redis)] == ["-4001", "-1001000004001"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_migration__into_a_chat_of_another_name_ends_neither(
    order: tuple[int, ...], server: Telegram, redis: Redis
) -> None:
    """The bot does not count as removed from the old community, even if the new chat has another community."""
    told = [tg.migrated(BOATS, BOATS_AFTER)[0], tg.membership(BOATS, OURSELVES, "member", "left")]
    communities = {BOATS["id"]: "old", BOATS_AFTER["id"]: "new"}
    fed(installed(communities), server, tg.message(BOATS, ADA, 3), *(told[number] for number in order))
    assert {community: is_present for community, _, is_present in notices(redis)} == {"old": True, "new": True}


def test_removal__is_told_by_chat_and_so_is_presence(server: Telegram, redis: Redis) -> None:
    """Workers keep the data of a community until the bot has left all of its chats. So each chat is told."""
    communities = {HARBOUR["id"]: "all", BOATS["id"]: "all"}
    harbour, boats = (str(chat["id"]) for chat in (HARBOUR, BOATS))
    fed(installed(communities), server, *(tg.message(chat, ADA, n) for n in (1, 2) for chat in (HARBOUR, BOATS)))
    assert notices(redis) == [("all", harbour, True), ("all", boats, True)]
    fed(installed(communities), server, tg.membership(BOATS, OURSELVES, "member", "kicked"))
    fed(installed(communities), server, tg.membership(HARBOUR, OURSELVES, "member", "kicked"))
    assert notices(redis)[2:] == [("all", boats, False), ("all", harbour, False)]


def test_removal__in_the_second_of_the_first_message_is_the_later_one(server: Telegram, redis: Redis) -> None:
    """Telegram's times are whole seconds. Of equal times, workers would take the presence for the later notice."""
    fed(installed(), server, tg.message(HARBOUR, ADA, 1), tg.membership(HARBOUR, OURSELVES, "member", "left"))
    there, gone = queued(redis, keys.NOTE_PRESENCE)
    assert (there["is_present"], gone["is_present"]) == (True, False)
    assert there["changed_at"] < gone["changed_at"]


def test_removal__of_the_bot_that_replaced_another_is_a_removal(server: Telegram, redis: Redis, tmp_path: Path) -> None:
    """The stored groups of a bot that no longer runs here do not prevent a removal."""
    (tmp_path / "spool").mkdir()
    before = {"migrated": {}, "present": {"5": [HARBOUR["id"]]}}
    (tmp_path / "spool" / "telegram-chats.json").write_text(json.dumps(before))
    gone = tg.membership(HARBOUR, OURSELVES, "member", "left")
    fed(installed(), server, tg.message(HARBOUR, ADA, 1), gone)
    assert notices(redis)[-1] == ("telegram:-1001000000001", "-1001000000001", False)


def test_migration__into_a_chat_that_is_named_follows_the_name(server: Telegram, redis: Redis) -> None:
    """The name that the developer gave to the new chat takes precedence. Ids may be texts, as in files."""
    communities = {str(BOATS["id"]): "old", str(BOATS_AFTER["id"]): "new"}
    updates = [tg.message(BOATS, ADA, 1), *tg.migrated(BOATS, BOATS_AFTER), tg.message(BOATS_AFTER, ADA, 2)]
    fed(installed(communities), server, *updates)
    assert [event["community_id"] for event in sent(redis)] == ["old", "new"]


# ---- names and ignored channels ----


def told(redis: Redis, *kinds: str) -> list[tuple[str, str]]:
    """Return the ids and names of these kinds in the queue, in order."""
    all_names = [name for notice in queued(redis, keys.NOTE_NAMES) for name in notice]
    return [(name["id"], name["name"]) for name in all_names if name["kind"] in kinds]


@libraries
def test_names__are_told_once_and_when_they_change(make: MakeBot, server: Telegram, redis: Redis) -> None:
    """Of a person, a chat and a topic. The first name of a topic, which every message repeats, does not come back."""
    harbour, repairs = str(HARBOUR["id"]), tg.topic(HARBOUR, 5, "Repairs")
    renamed = {"message_thread_id": 5, "is_topic_message": True, "forum_topic_edited": {"name": "Paint"}}
    port = {**HARBOUR, "title": "Port"}
    updates = [
        *UPDATES,
        repairs,
        tg.in_topic(repairs, BEN, 6, NOON + timedelta(minutes=1)),
        tg.message(HARBOUR, ADA, 7, NOON + timedelta(minutes=2), **renamed),
        tg.in_topic(repairs, {**BEN, "last_name": "Ada"}, 8, NOON + timedelta(minutes=3)),
        tg.message(port, {**BEN, "first_name": "Ada", "last_name": None}, 9, NOON + timedelta(minutes=4)),
        tg.message(port, ADA, 10, NOON + timedelta(minutes=5)),
    ]
    run_with(make, server, *updates)
    assert told(redis, "account") == [("7000000001", "Ada"), ("42", "Ben"), ("42", "Ben Ada"), ("42", "Ada")]
    assert told(redis, "space") == [(harbour, "Harbour"), (harbour, "Port")]
    assert told(redis, "channel") == [
        *[(harbour, "Harbour"), (f"{harbour}/1", "General"), (f"{harbour}/5", "Repairs"), (f"{harbour}/5", "Paint")],
        (harbour, "Port"),
    ]


@libraries
def test_names__former_id_of_a_supergroup_is_told_once(make: MakeBot, server: Telegram, redis: Redis) -> None:
    """If it were told again at each start, workers would group again what an operator has taken apart."""
    updates = [tg.message(BOATS, ADA, 3), *tg.migrated(BOATS, BOATS_AFTER), tg.message(BOATS_AFTER, ADA, 2)]
    run_with(make, server, *updates)
    run_with(make, server, tg.message(BOATS_AFTER, ADA, 3))
    spaces = [name for notice in queued(redis, keys.NOTE_NAMES) for name in notice if name["kind"] == "space"]
    assert [(name["community_id"], name["id"], name.get("former_id")) for name in spaces] == [
        ("telegram:-4001", "-4001", None),
        *[("telegram:-4001", "-1001000004001", former_id) for former_id in ("-4001", None)],
    ]


@libraries
def test_ignored__nothing_leaves_the_bot(make: MakeBot, server: Telegram, redis: Redis) -> None:
    """Of an ignored chat and of an ignored topic: no event, no name. The rest of the forum is recorded."""
    topic = tg.topic(HARBOUR, 5, "Secret")
    updates = [
        tg.message(BOATS, BEN, 1),
        tg.reaction(BOATS, BEN, 1, [], [tg.thumb()]),
        tg.membership(BOATS, BEN, "left", "member"),
        topic,
        tg.in_topic(topic, BEN, 6),
        tg.reaction(HARBOUR, BEN, 6, [], [tg.thumb()]),
        tg.message(HARBOUR, ADA, 7),
        tg.reaction(HARBOUR, ADA, 7, [], [tg.thumb()]),
    ]
    with make(server, ignored_channels=[BOATS["id"], f"{HARBOUR['id']}/5"]) as bot:
        server.wait_until_polled()
        server.happens(*updates)
        eventually(lambda: len(bot.heard) >= len(updates))
    assert objects(redis) == ["7", "7"]
    assert {name for _, name in told(redis, "account", "channel", "space")} == {"Ada", "Harbour", "General"}
    assert {space_id for _, space_id, _ in notices(redis)} == {str(HARBOUR["id"])}
