"""A stand-in for Telegram's Bot API, for any library: an HTTP server on 127.0.0.1, in a thread of its own.

It keeps what the real server keeps: updates until an offset confirms them, the requested types of updates (for all
later updates), the webhook, and where the bot is an administrator.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from tests.standins.telegram_updates import OURSELVES, Json, status
from tests.worker import eventually

TOKEN: Final = "123456:AAH-s3cret_of-the_bot"

UPDATE_KINDS: Final = (
    *("message", "edited_message", "channel_post", "edited_channel_post", "inline_query", "callback_query"),
    *("poll", "poll_answer", "my_chat_member", "chat_member", "message_reaction", "message_reaction_count"),
)
FOR_ADMINISTRATORS: Final = ("chat_member", "message_reaction", "message_reaction_count")
BY_DEFAULT: Final = tuple(kind for kind in UPDATE_KINDS if kind not in FOR_ADMINISTRATORS)
"""The types that Telegram sends if the bot names none."""

DONE: Final = ("answerCallbackQuery", "sendChatAction", "deleteMessage")
"""Methods that return true."""


@dataclass(frozen=True)
class Call:
    """A request of the bot: the method's name, and its parameters."""

    method: str
    parameters: Mapping[str, Any]


class Refused(Exception):
    """An error that the server returns instead of a result."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class Telegram:
    """The server. Let things happen with `happens`. The requests of the bot are in `calls`.

    administrator_in: the chats in which the bot is an administrator. Only there it gets reactions, joins and leaves.
    statuses: the bot's status in other chats. me: the answer of getMe. refuse: the error for a method.
    menus: the bot's lists of commands, by the scope's type and the language.
    """

    def __init__(self) -> None:
        self.administrator_in: set[int] = set()
        self.statuses: dict[int, str] = {}
        self.me: Json = {**OURSELVES, "can_join_groups": True, "can_read_all_group_messages": True}
        self.webhook: Json = {"url": ""}
        self.allowed: tuple[str, ...] = BY_DEFAULT
        self.calls: list[Call] = []
        self.refuse: dict[str, Refused] = {}
        self.menus: dict[tuple[str, str], list[Json]] = {}
        self._updates: list[Json] = []
        self._confirmed: list[Json] = []
        self._last_id = 100_000
        self._message_id = 5_000
        self._polls = 0
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telegram stand-in")
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # For tests.

    def happens(self, *updates: Json) -> None:
        """Let these updates happen, in this order. The bot gets only updates that it asks for and may see."""

        def add() -> None:
            for update in updates:
                self._add(update)

        self._call(add)

    def deliver_again(self) -> None:
        """Deliver all updates again, also the confirmed ones."""

        def again() -> None:
            self._updates, self._confirmed = [*self._confirmed, *self._updates], []
            self._wake()

        self._call(again)

    def wait_until_polled(self) -> None:
        """Wait until the bot has confirmed all updates, and asks for more."""
        eventually(lambda: self._polls > 0 and not self._updates)

    def polls(self) -> int:
        """Return how often the bot has asked for updates."""
        return self._polls

    def called(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    # The server.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._answer)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, access_log=None)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        self._started.set()
        self._loop.run_forever()
        self._wake()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(_end_all())
        self._loop.close()

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def _add(self, update: Json) -> None:
        (kind,) = update
        self._last_id += 1
        chat = update[kind].get("chat", {})
        if kind not in self.allowed:
            return
        if kind in FOR_ADMINISTRATORS and chat["id"] not in self.administrator_in:
            return
        self._updates.append({"update_id": self._last_id, **update})
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        form = await (request.json() if request.content_type == "application/json" else request.post())
        parameters = {name: _value(value) for name, value in [*request.query.items(), *form.items()]}
        self.calls.append(Call(method, parameters))
        try:
            self._check(method, request.match_info["token"])
            result = await self._result(method, parameters)
        except Refused as refused:
            answer = {"ok": False, "error_code": refused.code, "description": refused.description}
            return web.json_response(answer, status=refused.code)
        return web.json_response({"ok": True, "result": result})

    def _check(self, method: str, token: str) -> None:
        if token != TOKEN:
            raise Refused(401, "Unauthorized")
        if method in self.refuse:
            raise self.refuse[method]

    async def _result(self, method: str, given: Json) -> Any:
        if method == "getUpdates":
            return await self._get_updates(given)
        if method in DONE:
            return True
        answers: Mapping[str, Callable[[Json], Json | list[Json] | bool]] = {
            "getMe": lambda _: self.me,
            "setWebhook": self._set_webhook,
            "deleteWebhook": self._set_webhook,
            "getWebhookInfo": self._webhook_info,
            "getChatMember": self._member,
            "getMyCommands": lambda given: self.menus.get(_menu(given), []),
            "setMyCommands": self._set_menu,
            "deleteMyCommands": self._set_menu,
            "sendMessage": self._sent,
            "sendDocument": self._sent,
            "editMessageText": self._sent,
        }
        if method not in answers:
            raise Refused(404, "Not Found")
        return answers[method](given)

    def _set_webhook(self, given: Json) -> bool:
        self.webhook = {"url": given.get("url", "")}
        self._allow(given.get("allowed_updates"))
        return True

    def _webhook_info(self, _given: Json) -> Json:
        told = {"has_custom_certificate": False, "pending_update_count": len(self._updates)}
        allowed = {} if set(self.allowed) == set(BY_DEFAULT) else {"allowed_updates": [*self.allowed]}
        return {**self.webhook, **told, **allowed}

    async def _get_updates(self, given: Json) -> list[Json]:
        if self.webhook["url"]:
            raise Refused(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete it first",
            )
        self._allow(given.get("allowed_updates"))
        offset = int(given.get("offset", 0))
        self._confirmed += [update for update in self._updates if update["update_id"] < offset]
        self._updates = [update for update in self._updates if update["update_id"] >= offset]
        self._polls += 1
        me, deadline = self._polls, self._loop.time() + int(given.get("timeout", 0))
        self._wake()
        while not self._updates and (left := deadline - self._loop.time()) > 0 and self._loop.is_running():
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                break
            if me != self._polls:
                raise Refused(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )
        return self._updates[: int(given.get("limit", 100))]

    def _allow(self, kinds: Iterable[str] | None) -> None:
        if kinds is not None:
            self.allowed = tuple(kinds) or BY_DEFAULT

    def _set_menu(self, given: Json) -> bool:
        self.menus[_menu(given)] = list(given.get("commands", []))
        return True

    def _member(self, given: Json) -> Json:
        chat_id = int(given["chat_id"])
        if chat_id in self.administrator_in:
            return status(OURSELVES, "administrator")
        if chat_id not in self.statuses:
            raise Refused(400, "Bad Request: chat not found")
        return status(OURSELVES, self.statuses[chat_id])

    def _sent(self, given: Json) -> Json:
        self._message_id += 1
        chat = {"id": int(given["chat_id"]), "type": "private" if int(given["chat_id"]) > 0 else "supergroup"}
        content = {"text": given["text"]} if "text" in given else {"document": {"file_id": "d", "file_unique_id": "d"}}
        return {"message_id": self._message_id, "date": 1_773_144_000, "chat": chat, "from": OURSELVES, **content}


def _menu(given: Json) -> tuple[str, str]:
    return given.get("scope", {"type": "default"})["type"], given.get("language_code", "")


def _value(value: Any) -> Any:
    """Return a parameter. In a form, lists and objects are JSON."""
    if isinstance(value, web.FileField):
        return value.file.read()
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value[:1] in ("[", "{") else value
    except ValueError:
        return value


async def _end_all() -> None:
    """Cancel the requests that are still open, for example of bots that were killed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
