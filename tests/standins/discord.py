"""A stand-in for Discord: its HTTP API and its gateway on 127.0.0.1, for the real discord.py.

What happens in a guild is told by methods such as `message` and `voice`; they change the guild and send what Discord
sends, if the bot has asked for it (intents). A session keeps what it has sent, for RESUME. Only one bot at a time.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import discord
import yarl
from aiohttp import WSMsgType, web

from tests.standins import discord_payloads as shapes
from tests.standins.discord_payloads import Channel, Guild, Payload, User

TOKEN: Final = "right.token.of-the-bot"
BOT: Final = User(900, "harbour", is_bot=True)
APPLICATION_ID: Final = 901
MEMBERS_INTENT_ALLOWED: Final = 1 << 15

INTENTS: Final = {
    "GUILD_MEMBER_ADD": 1,
    "GUILD_MEMBER_REMOVE": 1,
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
"""Which bit a bot must have asked for; what is not here depends on `guilds`, bit 0, or on none."""

MEMBERS_BIT: Final = 1 << 1
SECONDS: Final = 20.0


@dataclass
class Session:
    """A session of the gateway: what it may hear, and all that it was sent."""

    id: str
    intents: int
    sent: list[tuple[int, str, Payload]] = field(default_factory=list)
    begun: int = 0
    """What was sent up to here began the session, and is never sent again."""


class Discord:
    """The platform. may_have_members: whether the privileged intent is turned on in the developer portal."""

    def __init__(self) -> None:
        self.guilds: dict[int, Guild] = {}
        self.may_have_members = True
        self.identified = 0
        self.resumed = 0
        self.answers: list[Payload] = []
        self.files: list[bytes] = []
        self.commands: list[Payload] = []
        self.posted: list[Payload] = []
        self._sessions: dict[str, Session] = {}
        self._session: Session | None = None
        self._socket: web.WebSocketResponse | None = None
        self._beat = asyncio.Event()
        self._handlers: set[asyncio.Task[Any]] = set()
        self.port = 0

    # ---- the server ----

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Discord"]:
        """Listen on a free port, and point this process's discord.py to it, until the block ends."""
        app = web.Application()
        app.router.add_get("/gateway", self._gateway)
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
        """Keep what the bot has sent: answers to interactions, files, commands, messages."""
        body: Any = None
        if request.content_type.startswith("multipart/"):
            async for part in await request.multipart():
                content = await part.read(decode=True)  # type: ignore[union-attr]
                if part.name == "payload_json":
                    body = json.loads(content)
                else:
                    self.files.append(bytes(content))
        elif request.can_read_body:
            body = await request.json()
        if path.startswith(("/interactions", "/webhooks")):
            self.answers.append(body or {})
        elif path.endswith("/commands"):
            self.commands = body
        elif path.endswith("/messages"):
            self.posted.append(body)

    def _answer(self, method: str, path: str) -> Any:
        flags = MEMBERS_INTENT_ALLOWED if self.may_have_members else 0
        now = datetime.now(UTC)
        match path.strip("/").split("/"):
            case ["users", "@me"]:
                return BOT.payload()
            case ["users", "@me", "guilds"]:
                return [
                    {"id": str(g), "name": f"g{g}", "icon": None, "owner": False, "permissions": "0"}
                    for g in self.guilds
                ]
            case ["oauth2", "applications", "@me"] | ["applications", "@me"]:
                return shapes.application(APPLICATION_ID, flags)
            case ["gateway", "bot"]:
                limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
                return {"url": self.gateway, "shards": 1, "session_start_limit": limit}
            case ["applications", _, "commands"]:
                return [
                    {
                        "id": str(n),
                        "application_id": str(APPLICATION_ID),
                        "version": "1",
                        "default_member_permissions": None,
                    }
                    | {"type": 1, "description": "", "options": []}
                    | command
                    for n, command in enumerate(self.commands, 1)
                ]
            case ["interactions", *_]:
                return {"interaction": {"id": "1", "type": 2, "response_message_id": str(shapes.snowflake(now))}}
            case ["webhooks", *_]:
                return shapes.message(None, 1, BOT, now, webhook_id=str(APPLICATION_ID))
            case ["channels", channel_id, "messages"]:
                return shapes.message(None, int(channel_id), BOT, now)
        raise web.HTTPNotFound(text=f"{method} {path}")

    @property
    def gateway(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway"

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await _send(socket, 10, {"heartbeat_interval": 41_250})
        async for received in socket:
            if received.type == WSMsgType.TEXT:
                update = json.loads(received.data)
                await self._hear(socket, update["op"], update.get("d"))
        return socket

    async def _hear(self, socket: web.WebSocketResponse, op: int, data: Any) -> None:
        match op:
            case 1:
                await _send(socket, 11, None)
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
        self._session = Session(f"session-{len(self._sessions)}", data["intents"])
        self._sessions[self._session.id] = self._session
        self._socket = socket
        await self.dispatch("READY", self._ready(self._session))
        for guild in self.guilds.values():
            if not guild.is_unavailable:
                await self._guild_create(guild)
        self._session.begun = len(self._session.sent)
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
            await _send(socket, 9, False)
            return
        self._session, self._socket = session, socket
        for sequence, kind, payload in session.sent[:]:
            if sequence > max(data["seq"] - self._again, session.begun):
                await _send(socket, 0, payload, kind, sequence)
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
        """Send an update to the bot, if it has asked for its kind; while it is away, keep it for a RESUME."""
        session = self._session
        if session is None or not session.intents >> INTENTS.get(intent or kind, 0) & 1:
            return
        sequence = len(session.sent) + 1
        session.sent.append((sequence, kind, data))
        if self._socket is not None and not self._socket.closed:
            await _send(self._socket, 0, data, kind, sequence)

    async def settle(self) -> None:
        """Wait until the bot's library has dispatched all that was sent: it answers to a heartbeat in turn."""
        assert self._socket
        self._beat.clear()
        await _send(self._socket, 1, None)
        await asyncio.wait_for(self._beat.wait(), SECONDS)

    async def cut(self) -> None:
        """Break the connection; the bot will ask to go on, which waits for `go_on`."""
        assert self._socket
        await self._socket.close(code=4000)

    _again = 0

    async def reconnect(self, *, again: int = 0) -> None:
        """Ask the bot to reconnect, and let it resume; again: how many updates that it has had are sent again."""
        resumed, self._again = self.resumed, again
        assert self._socket
        await _send(self._socket, 7, None)
        await until(lambda: self.resumed > resumed)
        await self.settle()

    @asynccontextmanager
    async def away(self, *, again: int = 0) -> AsyncIterator[None]:
        """Let the bot be without connection in the block; afterwards it resumes and is sent what it has missed."""
        resumed, self._again, socket = self.resumed, again, self._socket
        assert socket
        self._socket = None
        yield
        await _send(socket, 7, None)
        await until(lambda: self.resumed > resumed)
        await self.settle()

    async def new_session(self, during: Callable[[], None] | None = None) -> None:
        """End the session so that the bot begins a new one; during: what happens meanwhile, unseen."""
        identified = self.identified
        assert self._socket
        self._sessions.clear()
        socket, self._socket, self._session = self._socket, None, None
        if during:
            during()
        await _send(socket, 9, False)
        await until(lambda: self.identified > identified)
        await self.settle()

    async def hang_up(self) -> None:
        if self._socket is not None and not self._socket.closed:
            await self._socket.close(code=1000)

    # ---- what happens ----

    def guild(self, guild_id: int, *members: User, text: int = 0, voice: tuple[int, ...] = ()) -> Guild:
        """Make a guild in which the bot is, with a text channel and voice channels."""
        guild = Guild(guild_id, {member.id: member for member in (BOT, *members)})
        guild.channels = {text: Channel(text, shapes.TEXT)} | {c: Channel(c, shapes.VOICE) for c in voice}
        self.guilds[guild_id] = guild
        return guild

    async def join_guild(self, guild: Guild) -> None:
        self.guilds[guild.id] = guild
        payload = guild.payload(all_members=True)
        del payload["unavailable"]
        await self.dispatch("GUILD_CREATE", payload)

    async def remove_guild(self, guild: Guild) -> None:
        del self.guilds[guild.id]
        await self.dispatch("GUILD_DELETE", {"id": str(guild.id)})

    async def outage(self, guild: Guild) -> None:
        guild.is_unavailable = True
        await self.dispatch("GUILD_DELETE", {"id": str(guild.id), "unavailable": True})

    async def outage_over(self, guild: Guild) -> None:
        guild.is_unavailable = False
        await self._guild_create(guild)

    async def message(
        self, guild: Guild | None, channel_id: int, author: User, *, at: datetime | None = None, **more: Any
    ) -> int:
        """Send a message, without a guild a direct one; return its id."""
        payload = shapes.message(guild.id if guild else None, channel_id, author, at or datetime.now(UTC), **more)
        if guild and author.id in guild.members:
            payload["member"] = {key: value for key, value in guild.member(author).items() if key != "user"}
        await self.dispatch("MESSAGE_CREATE", payload, "" if guild else "DIRECT_MESSAGE")
        return int(payload["id"])

    async def edit(self, guild: Guild, channel_id: int, author: User, message_id: int) -> None:
        payload = shapes.message(guild.id, channel_id, author, datetime.now(UTC))
        edited = {"id": str(message_id), "edited_timestamp": datetime.now(UTC).isoformat()}
        await self.dispatch("MESSAGE_UPDATE", payload | edited)

    async def delete(self, guild: Guild, channel_id: int, message_id: int) -> None:
        payload = {"id": str(message_id), "channel_id": str(channel_id), "guild_id": str(guild.id)}
        await self.dispatch("MESSAGE_DELETE", payload)

    async def thread(self, guild: Guild, parent_id: int, thread_id: int) -> None:
        """Make a thread, or a post in a forum."""
        guild.channels[thread_id] = Channel(thread_id, shapes.PUBLIC_THREAD, parent_id)
        await self.dispatch("THREAD_CREATE", guild.channels[thread_id].payload(guild.id) | {"newly_created": True})

    async def react(
        self, guild: Guild, channel_id: int, user: User, message_id: int, emoji: str | int, *, author: User
    ) -> None:
        payload = self._reaction(guild, channel_id, user, message_id, emoji)
        more = {"member": guild.member(user), "message_author_id": str(author.id)}
        await self.dispatch("MESSAGE_REACTION_ADD", payload | more)

    async def unreact(self, guild: Guild, channel_id: int, user: User, message_id: int, emoji: str | int) -> None:
        payload = self._reaction(guild, channel_id, user, message_id, emoji)
        await self.dispatch("MESSAGE_REACTION_REMOVE", payload)

    async def clear_reactions(self, guild: Guild, channel_id: int, message_id: int, emoji: str | None = None) -> None:
        where = {"guild_id": str(guild.id), "channel_id": str(channel_id), "message_id": str(message_id)}
        if emoji is None:
            await self.dispatch("MESSAGE_REACTION_REMOVE_ALL", where)
        else:
            await self.dispatch("MESSAGE_REACTION_REMOVE_EMOJI", where | {"emoji": shapes.emoji(emoji)})

    def _reaction(self, guild: Guild, channel_id: int, user: User, message_id: int, emoji: str | int) -> Payload:
        return {
            "user_id": str(user.id),
            "channel_id": str(channel_id),
            "message_id": str(message_id),
            "guild_id": str(guild.id),
            "emoji": shapes.emoji(emoji),
            "burst": False,
            "type": 0,
        }

    async def voice(self, guild: Guild, user: User, channel_id: int | None, **flags: bool) -> None:
        """Let somebody join, move, leave (None), or with the channel unchanged mute, deafen, stream."""
        self.sit(guild, user, channel_id)
        member = guild.member(user)
        state = guild.voice_state(user, channel_id, **flags) | {"guild_id": str(guild.id), "member": member}
        await self.dispatch("VOICE_STATE_UPDATE", state)

    def sit(self, guild: Guild, user: User, channel_id: int | None) -> None:
        """Change who is in voice without telling."""
        guild.voice.pop(user.id, None)
        if channel_id is not None:
            guild.voice[user.id] = channel_id

    async def delete_channel(self, guild: Guild, channel_id: int) -> None:
        await self.dispatch("CHANNEL_DELETE", guild.channels.pop(channel_id).payload(guild.id))

    async def join(self, guild: Guild, user: User, at: datetime) -> None:
        guild.members[user.id] = user
        await self.dispatch("GUILD_MEMBER_ADD", guild.member(user, at) | {"guild_id": str(guild.id)})

    async def leave(self, guild: Guild, user: User) -> None:
        """Let somebody leave the guild; that they leave voice is told by `voice`."""
        del guild.members[user.id]
        await self.dispatch("GUILD_MEMBER_REMOVE", {"guild_id": str(guild.id), "user": user.payload()})

    async def command(self, guild: Guild, user: User, name: str, subcommand: str | None = None) -> None:
        """Let somebody give a slash command."""
        options = [{"type": 1, "name": subcommand, "options": []}] if subcommand else []
        await self._interaction(guild, user, 2, {"id": "1", "type": 1, "name": name, "options": options})

    async def press(self, guild: Guild, user: User, custom_id: str) -> None:
        """Let somebody press a button of an answer."""
        message = shapes.message(guild.id, next(iter(guild.channels)), BOT, datetime.now(UTC))
        data = {"custom_id": custom_id, "component_type": 2}
        await self._interaction(guild, user, 3, data, message=message)

    async def _interaction(self, guild: Guild, user: User, kind: int, data: Payload, **more: Any) -> None:
        channel = next(iter(guild.channels.values()))
        payload = {
            "id": str(shapes.snowflake(datetime.now(UTC))),
            "application_id": str(APPLICATION_ID),
            "type": kind,
            "data": data,
            "guild_id": str(guild.id),
            "channel_id": str(channel.id),
            "channel": channel.payload(guild.id),
            "member": guild.member(user) | {"permissions": "0"},
            "token": "interaction-token",
            "version": 1,
            "locale": "en-GB",
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(guild.id)},
            "context": 0,
            "attachment_size_limit": 10_000_000,
        }
        await self.dispatch("INTERACTION_CREATE", payload | more)


@asynccontextmanager
async def standing_in() -> AsyncIterator[Discord]:
    async with Discord().serve() as server:
        yield server


class pointed_to:  # noqa: N801 - read as `with pointed_to(port):`
    """Point this process's discord.py to a stand-in."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __enter__(self) -> None:
        self._before = discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
        discord.http.Route.BASE = f"http://127.0.0.1:{self._port}/api"
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"ws://127.0.0.1:{self._port}/gateway")

    def __exit__(self, *_: object) -> None:
        discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = self._before


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after a while."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def _json(value: Any, status: int = 200) -> web.Response:
    # The library reads JSON only from exactly this type, without a charset.
    return web.Response(body=json.dumps(value).encode(), status=status, headers={"Content-Type": "application/json"})


async def _send(
    socket: web.WebSocketResponse, op: int, data: Any, kind: str | None = None, sequence: int | None = None
) -> None:
    await socket.send_str(json.dumps({"op": op, "d": data, "t": kind, "s": sequence}))


def run_pointed() -> None:
    """`python -m tests.standins.discord PORT FILE [ARGUMENT…]`: run a program with its discord.py pointed to a stand-in."""
    import runpy

    port, file, *arguments = sys.argv[1:]
    sys.argv = [file, *arguments]
    with pointed_to(int(port)):
        runpy.run_path(file, run_name="__main__")


if __name__ == "__main__":
    run_pointed()
