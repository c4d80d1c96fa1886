"""The server of the stand-in for Discord: the HTTP API and the gateway on 127.0.0.1, for the real discord.py.

A session of the gateway gets the updates that the bot has asked for with intents, and keeps them for RESUME. It serves
one bot at a time.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

import discord
import yarl
from aiohttp import BodyPartReader, WSMsgType, web

from tests.standins import discord_payloads as shapes
from tests.standins.discord_payloads import BOT, Guild, Payload

TOKEN: Final = "right.token.of-the-bot"
APPLICATION_ID: Final = 901
MEMBERS_INTENT_ALLOWED: Final = 1 << 15

INTENTS: Final = {
    "GUILD_MEMBER_ADD": 1,
    "GUILD_MEMBER_REMOVE": 1,
    "GUILD_MEMBER_UPDATE": 1,
    "VOICE_STATE_UPDATE": 7,
    "MESSAGE_CREATE": 9,
    "MESSAGE_UPDATE": 9,
    "MESSAGE_DELETE": 9,
    "MESSAGE_REACTION_ADD": 10,
    "MESSAGE_REACTION_REMOVE": 10,
    "MESSAGE_REACTION_REMOVE_ALL": 10,
    "MESSAGE_REACTION_REMOVE_EMOJI": 10,
    "DIRECT_MESSAGE": 12,
}
"""The bit of the intent that each kind of update needs. Other kinds need `guilds`, bit 0, or none."""

COMMANDS: Final = f"/applications/{APPLICATION_ID}/commands"
"""The path of the global commands."""

MEMBERS_BIT: Final = 1 << 1
SECONDS: Final = 180.0
"""As in `tests.worker`, which is not imported here, so that programs with this stand-in need not load it."""


@dataclass
class Session:
    """A session of the gateway: its intents, and all updates that were sent to it."""

    id: str
    intents: int
    sent: list[tuple[int, str, Payload]] = field(default_factory=list)
    begun: int = 0
    """How many updates started the session. They are never sent again."""


class Server:
    """The server. may_have_members: whether the privileged intent is turned on in the developer portal.

    The bot's requests are in `answers` (to interactions), `files` (of the answers) and `posted` (messages). `commands`
    has its registered slash commands, and `command_changes` the requests that changed them, as method and path.
    """

    def __init__(self) -> None:
        self.guilds: dict[int, Guild] = {}
        self.may_have_members = True
        self.identified = 0
        self.on_identified: Callable[[], Awaitable[None]] | None = None
        self.resumed = 0
        self.answers: list[Payload] = []
        self.answered_id = 0
        self.files: list[bytes] = []
        self.commands: list[Payload] = []
        self.command_changes: list[tuple[str, str]] = []
        self.posted: list[Payload] = []
        self._sessions: dict[str, Session] = {}
        self._session: Session | None = None
        self._socket: web.WebSocketResponse | None = None
        self._again = 0
        self._beat = asyncio.Event()
        self._is_reachable = asyncio.Event()
        self._is_reachable.set()
        self.port = 0

    # ---- the server ----

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Self]:
        """Listen on a free port until the block ends. This process's discord.py connects to it."""
        app = web.Application()
        app.router.add_get("/gateway", self._gateway)
        app.router.add_route("*", "/api/v10/{path:.*}", self._api)  # discord.js puts the version into the path
        app.router.add_route("*", "/api/{path:.*}", self._api)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        with pointed_to(self.port):
            try:
                yield self
            finally:
                await self.hang_up()
                await runner.cleanup()

    async def _api(self, request: web.Request) -> web.Response:
        path = f"/{request.match_info['path']}"
        if not path.startswith(("/interactions", "/webhooks")) and request.headers.get("Authorization") != (
            f"Bot {TOKEN}"
        ):
            return _json({"message": "401: Unauthorized", "code": 0}, 401)
        await self._keep(request, path)
        if request.method == "DELETE":
            return web.Response(status=204)
        return _json(self._answer(request.method, path))

    async def _keep(self, request: web.Request, path: str) -> None:
        """Keep what the bot sends: answers to interactions, files, commands and messages."""
        body: Any = None
        if request.content_type.startswith("multipart/"):
            async for part in await request.multipart():
                assert isinstance(part, BodyPartReader)
                content = await part.read(decode=True)
                if part.name == "payload_json":
                    body = json.loads(content)
                else:
                    self.files.append(bytes(content))
        elif request.can_read_body:
            body = await request.json()
        if path.startswith(("/interactions", "/webhooks")):
            self.answers.append(body or {})
        elif path.startswith(COMMANDS) and request.method != "GET":
            self._change_commands(request.method, path, body)
        elif path.endswith("/messages"):
            self.posted.append(body)

    def _change_commands(self, method: str, path: str, body: Any) -> None:
        """Do as Discord does: PUT replaces all commands, POST replaces the one with the same type and name."""
        self.command_changes.append((method, path))
        match method:
            case "PUT":
                self.commands = [*map(shapes.registered, body)]
            case "POST":
                new = shapes.registered(body)
                self.commands = [each for each in self.commands if not is_same(each, new)] + [new]
            case "DELETE":
                self.commands = [each for each in self.commands if each["id"] != path.rpartition("/")[2]]

    def _answer(self, method: str, path: str) -> Any:
        now = datetime.now(UTC)
        if path.startswith("/interactions"):
            self.answered_id = shapes.snowflake(now)
            return {"interaction": {"id": "1", "type": 2, "response_message_id": str(self.answered_id)}}
        if path.startswith("/webhooks"):
            return shapes.message(None, 1, BOT, now, webhook_id=str(APPLICATION_ID))
        if path.endswith("/messages"):
            return shapes.message(None, int(path.split("/")[2]), BOT, now)
        known: dict[str, Callable[[], Any]] = {
            "/users/@me": BOT.payload,
            "/users/@me/guilds": lambda: [shapes.partial_guild(guild_id) for guild_id in self.guilds],
            "/oauth2/applications/@me": self._application,
            "/applications/@me": self._application,
            "/gateway/bot": lambda: shapes.gateway(self.gateway),
            COMMANDS: lambda: self.commands[-1] if method == "POST" else self.commands,
        }
        if path not in known:
            raise web.HTTPNotFound(text=f"{method} {path}")
        return known[path]()

    def _application(self) -> Payload:
        return shapes.application(APPLICATION_ID, MEMBERS_INTENT_ALLOWED if self.may_have_members else 0)

    @property
    def gateway(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway"

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self._is_reachable.wait()
        await send(socket, 10, {"heartbeat_interval": 41_250})
        async for received in socket:
            if received.type == WSMsgType.TEXT:
                update = json.loads(received.data)
                await self._hear(socket, update["op"], update.get("d"))
        return socket

    async def _hear(self, socket: web.WebSocketResponse, op: int, data: Any) -> None:
        match op:
            case 1:
                await send(socket, 11, None)
                self._beat.set()
            case 2:
                await self._identify(socket, data)
            case 6:
                await self._resume(socket, data)
            case 8:
                await self._send_members(data)

    async def _identify(self, socket: web.WebSocketResponse, data: Payload) -> None:
        if data["token"] != TOKEN:
            await socket.close(code=4004, message=b"Authentication failed.")
            return
        if data["intents"] & MEMBERS_BIT and not self.may_have_members:
            await socket.close(code=4014, message=b"Disallowed intent(s).")
            return
        self._session = Session(f"session-{self.identified}", data["intents"])
        self._sessions[self._session.id] = self._session
        self._socket = socket
        await self.dispatch("READY", self._ready(self._session))
        for guild in self.guilds.values():
            if not guild.is_unavailable:
                await self._guild_create(guild)
        self._session.begun = len(self._session.sent)
        if self.on_identified:
            await self.on_identified()
        self.identified += 1

    def _ready(self, session: Session) -> Payload:
        return {
            "v": 10,
            "user": BOT.payload(),
            "guilds": [{"id": str(guild_id), "unavailable": True} for guild_id in self.guilds],
            "session_id": session.id,
            "resume_gateway_url": self.gateway,
            "shard": [0, 1],
            "application": {"id": str(APPLICATION_ID), "flags": 0},
        }

    async def _guild_create(self, guild: Guild, **more: Any) -> None:
        assert self._session
        all_members = bool(self._session.intents & MEMBERS_BIT)
        await self.dispatch("GUILD_CREATE", guild.payload(all_members=all_members) | more)

    async def _resume(self, socket: web.WebSocketResponse, data: Payload) -> None:
        session = self._sessions.get(data["session_id"])
        if session is None:
            await send(socket, 9, False)
            return
        self._session, self._socket = session, socket
        for sequence, kind, payload in session.sent[:]:
            if sequence > max(data["seq"] - self._again, session.begun):
                await send(socket, 0, payload, kind, sequence)
        await self.dispatch("RESUMED", {})
        self.resumed += 1

    async def _send_members(self, data: Payload) -> None:
        guild = self.guilds[int(data["guild_id"])]
        chunk = {
            "guild_id": data["guild_id"],
            "members": [guild.member(member) for member in guild.members.values()],
            "chunk_index": 0,
            "chunk_count": 1,
            "nonce": data.get("nonce"),
        }
        await self.dispatch("GUILD_MEMBERS_CHUNK", chunk)

    # ---- the connection ----

    async def dispatch(self, kind: str, data: Payload, intent: str = "") -> None:
        """Send an update to the bot if it has asked for its kind. While the bot is away, keep it for a RESUME."""
        session = self._session
        if session is None or not session.intents >> INTENTS.get(intent or kind, 0) & 1:
            return
        sequence = len(session.sent) + 1
        session.sent.append((sequence, kind, data))
        if self._socket is not None and not self._socket.closed:
            await send(self._socket, 0, data, kind, sequence)

    async def settle(self) -> None:
        """Wait until the bot's library has dispatched all updates. It answers a heartbeat only after them."""
        assert self._socket is not None
        self._beat.clear()
        await send(self._socket, 1, None)
        await asyncio.wait_for(self._beat.wait(), SECONDS)

    async def reconnect(self, *, again: int = 0) -> None:
        """Ask the bot to reconnect, and let it resume. again: how many updates are sent again."""
        resumed, self._again = self.resumed, again
        assert self._socket is not None
        await send(self._socket, 7, None)
        await until(lambda: self.resumed > resumed)
        await self.settle()

    @asynccontextmanager
    async def away(self, *, again: int = 0) -> AsyncIterator[None]:
        """Send no updates to the bot during the block. After it, the bot resumes, and gets the missed updates."""
        resumed, self._again, socket = self.resumed, again, self._socket
        assert socket is not None
        self._socket = None
        yield
        await send(socket, 7, None)
        await until(lambda: self.resumed > resumed)
        await self.settle()

    @asynccontextmanager
    async def forgotten(self) -> AsyncIterator[None]:
        """End the session. After the block the bot starts a new one. Updates during the block are never sent."""
        identified, socket = self.identified, self._socket
        assert socket is not None
        self._sessions.clear()
        self._socket = self._session = None
        yield
        await send(socket, 9, False)
        await until(lambda: self.identified > identified)
        await self.settle()

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        """Close the connection, and accept no new one until the block ends. Then the bot resumes."""
        resumed = self.resumed
        assert self._socket is not None
        self._is_reachable.clear()
        await self._socket.close(code=4000)
        yield
        self._is_reachable.set()
        await until(lambda: self.resumed > resumed)
        await self.settle()

    async def hang_up(self) -> None:
        if self._socket is not None and not self._socket.closed:
            await self._socket.close(code=1000)


class pointed_to:  # noqa: N801 - read as `with pointed_to(port):`
    """Let this process's discord.py connect to a stand-in."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __enter__(self) -> None:
        self._before = discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
        discord.http.Route.BASE = f"http://127.0.0.1:{self._port}/api"
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"ws://127.0.0.1:{self._port}/gateway")

    def __exit__(self, *_: object) -> None:
        discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = self._before


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true. Raises `TimeoutError` after `SECONDS`."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def is_same(command: Payload, other: Payload) -> bool:
    """Return whether two commands replace each other."""
    return (command["type"], command["name"]) == (other["type"], other["name"])


def _json(value: Any, status: int = 200) -> web.Response:
    # discord.py reads JSON only if the content type has no charset.
    return web.Response(body=json.dumps(value).encode(), status=status, headers={"Content-Type": "application/json"})


async def send(
    socket: web.WebSocketResponse, op: int, data: Any, kind: str | None = None, sequence: int | None = None
) -> None:
    await socket.send_str(json.dumps({"op": op, "d": data, "t": kind, "s": sequence}))
