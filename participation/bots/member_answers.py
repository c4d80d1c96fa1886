"""The answers of a bot to members who ask about their data. They are the same for every library and platform.

In: the account of the member. Out: a text, and for `my_data` a file. The answers come from the database at
`DATABASE_URL`. A thread reads it, so the bot's event loop does not block.
"""

import asyncio
import gzip
import io
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from participation import extras, log, settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from participation.accounts import Account
    from participation.store.members.requests import Erased, Kept

COMMANDS: Final = {
    "privacy": "What is kept here about members, and why",
    "what_is_kept": "What is kept about you, in numbers",
    "my_data": "Everything that is kept about you, as a file",
    "forget_me": "Erase everything that is kept about you",
    "opt_out": "Erase everything, and keep nothing about you in future",
    "opt_in": "Be counted again from now on",
}
"""The commands and what they do. The names and texts follow the rules of Discord and of Telegram."""

UNCOMPRESSED_BYTES: Final = 1_000_000
"""The size from which a file is compressed."""

FILE_BYTES: Final = 8_000_000
"""The largest file that a bot may send on every platform."""

FAILED: Final = (
    "Sorry, I cannot reach the database right now. Please try again in a few minutes. "
    "The people who run this bot can see this error in the bot's log."
)

NOTHING: Final = "Nothing is kept about you."

_EVENTS: Final = {
    "MESSAGE_SENT": "messages sent",
    "REACTION_ADDED": "reactions added",
    "REACTION_REMOVED": "reactions removed",
    "VOICE_JOINED": "joined voice",
    "VOICE_PRESENT": "seen in voice",
    "VOICE_LEFT": "left voice",
    "MEMBER_JOINED": "joined the community",
    "MEMBER_LEFT": "left the community",
}

_POLICY: Final = """\
This bot counts how people take part in the community: how many messages are sent, when, and by how many people.

Kept: that you sent a message, added or removed a reaction, or joined or left voice or the community; when and in \
which channel; the ids of your account and of the message; {names}the emoji of a reaction, and whose message it \
was for if the community wants that; the length of a voice or video note. Daily totals are computed from this: \
messages, reactions, minutes in voice.
Never kept: what you write or say, pictures and files, your profile{or_name}.

Why: the community can see how it is doing each day, and who takes part.
How long: until you have your data erased. {removal}

You can use these commands:
{commands}
"""

Answered = TypeVar("Answered")


def registered(names: Iterable[str], *, member_commands: bool) -> str:
    """Return a line for the operator of a bundled bot: which commands the platform lists now, or no longer."""
    listed = ", ".join(f"/{name}" for name in names)
    if member_commands:
        return f"commands: added or changed {listed}"
    return f"commands: removed {listed}, because the bot was started without --member-commands"


@dataclass(frozen=True, slots=True)
class Answer:
    """A text for the member, and a file if `content` is not None."""

    text: str
    file_name: str | None = None
    content: bytes | None = None


class MemberAnswers:
    """Answers the members of one platform.

    engine: a database engine that other code uses too. By default, the first question creates one from `DATABASE_URL`.
    The methods that read the database never raise. They log the error without the account, and return a text that asks
    the member to try again.
    """

    def __init__(self, platform: str, engine: "Engine | None" = None) -> None:
        extras.require("server")
        self._platform = platform
        self._engine = engine
        self._own_engine: Engine | None = None
        # Each question may read the whole table of events, so the database gets only one question at a time.
        self._lock = asyncio.Lock()

    def privacy(self) -> str:
        """Return the privacy policy. Raises `ConfigError` if a setting is wrong."""
        configured = settings.load()
        days = configured.deletion_grace_days
        after = f"{days} days after that" if days else "after that"
        commands = "\n".join(f"/{name}: {text}" for name, text in COMMANDS.items() if name != "privacy")
        removal = f"If the bot is removed from the community, the community's data is deleted {after}."
        contact = f"\nQuestions: {configured.privacy_contact}\n" if configured.privacy_contact else ""
        has_names = configured.names == "on"
        names = "your name and username here, and when you joined; " if has_names else ""
        or_name = "" if has_names else ", your name"
        policy = _POLICY.format(removal=removal, commands=commands, names=names, or_name=or_name)
        return (policy + contact).strip()

    async def what_is_kept(self, account_id: str) -> str:
        """Return in numbers what is kept about the member."""

        def ask(engine: "Engine", account: "Account") -> str:
            from participation.store.members import requests

            return _kept_text(requests.kept(engine, account))

        return await self._answer("what_is_kept", account_id, ask, FAILED)

    async def my_data(self, account_id: str) -> Answer:
        """Return everything that is kept about the member as a file: NDJSON, compressed with gzip if it is large."""

        def ask(engine: "Engine", account: "Account") -> Answer:
            from participation.store.members import requests

            return _file(requests.export(engine, account))

        return await self._answer("my_data", account_id, ask, Answer(FAILED))

    async def forget_me(self, account_id: str) -> str:
        """Erase everything that is kept about the member. Commits. Repeating is safe."""

        def ask(engine: "Engine", account: "Account") -> str:
            from participation.store.members import requests

            return f"{_erased_text(requests.forget(engine, account))} What you do is counted again in five minutes. \
To stop that too, use /opt_out."

        return await self._answer("forget_me", account_id, ask, FAILED)

    async def opt_out(self, account_id: str) -> str:
        """Erase everything that is kept about the member, and keep nothing in future. Commits. Repeating is safe."""

        def ask(engine: "Engine", account: "Account") -> str:
            from participation.store.members import requests

            return f"{_erased_text(requests.opt_out(engine, account))} From now on, nothing that you do is kept. \
If you change your mind, use /opt_in."

        return await self._answer("opt_out", account_id, ask, FAILED)

    async def opt_in(self, account_id: str) -> str:
        """Count the member again from now on. Commits. Repeating is safe."""

        def ask(engine: "Engine", account: "Account") -> str:
            from participation.store.members import requests

            _, changed = requests.opt_in(engine, account)
            if not changed:
                return "You had not opted out. What you do is counted."
            return "Welcome back. What you do from now on is counted. Your earlier data stays erased."

        return await self._answer("opt_in", account_id, ask, FAILED)

    async def close(self) -> None:
        """Disconnect from the database, unless `engine` was given. Repeating is safe."""
        if self._own_engine is not None:
            await asyncio.to_thread(self._own_engine.dispose)

    async def _answer(
        self,
        command: str,
        account_id: str,
        ask: "Callable[[Engine, Account], Answered]",
        failed: Answered,
    ) -> Answered:
        async with self._lock:
            return await asyncio.to_thread(self._ask, command, account_id, ask, failed)

    def _ask(
        self, command: str, account_id: str, ask: "Callable[[Engine, Account], Answered]", failed: Answered
    ) -> Answered:
        from participation.accounts import Account

        try:
            return ask(self._connected(), Account(self._platform, account_id))
        except Exception as error:
            log.event("member_command_failed", level=logging.ERROR, command=command, detail=error)
            return failed

    def _connected(self) -> "Engine":
        from participation.store.database import command_engine

        if self._engine is not None:
            return self._engine
        if self._own_engine is None:
            self._own_engine = command_engine(settings.load())
        return self._own_engine


def _kept_text(kept: "Kept") -> str:
    opted_out = "\nYou have opted out. Nothing new is kept." if kept.opted_out else ""
    summary = kept.summary
    if summary.is_empty:
        return NOTHING + opted_out
    counts = {
        "communities": len(summary.communities),
        **{_EVENTS.get(name, name): count for name, count in summary.events.items()},
        "reactions to your messages": summary.received,
        "days with totals": summary.highlight_days,
        "communities that know your name": summary.names,
        "messages from the bot that were not valid": summary.dead_letters,
    }
    span = f", from {_day(summary.first_at)} to {_day(summary.last_at)}" if summary.events else ""
    lines = [f"Kept about you{span}:", *(f"- {name}: {count:,}" for name, count in counts.items() if count)]
    if len(kept.person.accounts) > 1:
        lines.append(f"This covers all of your {len(kept.person.accounts)} linked accounts.")
    return "\n".join(lines) + "\nWhat you write is never kept. To get all of your data, use /my_data." + opted_out


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"


def _erased_text(erased: "Erased") -> str:
    if not (erased.events or erased.received or erased.highlights or erased.names or erased.dead_letters):
        return "Done: there was nothing about you to erase."
    accounts = f", for all of your {len(erased.accounts)} linked accounts" if len(erased.accounts) > 1 else ""
    return f"Done: everything about you is erased{accounts}. Erased events: {erased.events:,}."


def _file(lines: Iterable[bytes]) -> Answer:
    uncompressed, compressed = bytearray(), io.BytesIO()
    with gzip.GzipFile(fileobj=compressed, mode="wb") as file:
        for line in lines:
            file.write(line)
            uncompressed += line if len(uncompressed) < UNCOMPRESSED_BYTES else b""
            if compressed.tell() > FILE_BYTES:
                return Answer("The file is too large to send here. Please ask the people who run this bot for it.")
    text = "Here is everything that is kept about you, one JSON object per line."
    if len(uncompressed) < UNCOMPRESSED_BYTES:
        return Answer(text, "my-data.ndjson", bytes(uncompressed))
    return Answer(f"{text} The file is compressed with gzip.", "my-data.ndjson.gz", compressed.getvalue())
