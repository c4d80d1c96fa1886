"""Remembers over a restart which bot is in which chat, which chats got a new id, and the latest albums.

A group that becomes a supergroup gets another chat id, and the Bot API reports this only once. A bot may restart in the
middle of an album. So all of it is stored in a small JSON file beside the publisher's spool. It is read when a chat or
an album is seen for the first time, and written by a thread of its own.
"""

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson

from participation import log, private_files
from participation.bots.bot_api.albums import Albums
from participation.bots.bot_api.types import Message

FILE: Final = "telegram-chats.json"


class Chats:
    """The groups in which the bots of this process are. Several processes can share the file.

    folder: where the file is. communities: the community_id of the chats for which the developer chose one, by the
    chat's id.
    """

    def __init__(self, folder: Path, communities: Mapping[int, str]) -> None:
        self._path = folder / FILE
        self._communities = communities
        self._writing = threading.Lock()
        # Whether a thread will write the current state.
        self._is_due = False
        # These mappings are replaced and never modified, because the writing thread reads them.
        self._migrated: Mapping[int, int] = {}
        self._present: Mapping[int, frozenset[int]] = {}
        self._albums = Albums()
        self._seen: set[tuple[int, int]] = set()
        self._bots: set[int] = set()
        self._read()

    def place(self, chat_id: int) -> int:
        """Return the id that names the chat's community: its first id, or its new id if `communities` has that one."""
        return chat_id if chat_id in self._communities else self._migrated.get(chat_id, chat_id)

    def of(self, bot_id: int) -> frozenset[int]:
        """Return the groups in which the bot is known to be."""
        return self._present.get(bot_id, frozenset())

    def places(self) -> set[int]:
        """Return the places of the groups in which bots of this process are.

        Other bots in the file are ignored, because they may no longer exist.
        """
        return {self.place(chat_id) for bot_id in self._bots for chat_id in self.of(bot_id)}

    def has_left(self, chat_id: int) -> bool:
        """Return whether the group has become a supergroup with another id."""
        return chat_id in self._migrated.values()

    def former_id(self, chat_id: int) -> int | None:
        """Return the id that the group had before it became a supergroup."""
        return self._migrated.get(chat_id)

    def see(self, chat_id: int, bot_id: int) -> None:
        """Note that the bot is in this group."""
        if (chat_id, bot_id) in self._seen:
            return
        self._seen.add((chat_id, bot_id))
        self._bots.add(bot_id)
        if chat_id not in self.of(bot_id):
            self._read()  # another process of the same bot may have stored that this is the new id of a group
            if not self.has_left(chat_id):
                self._set(bot_id, self.of(bot_id) | {chat_id})

    def first_of_album(self, message: Message) -> int:
        """Return the id of the first message of the message's album if it is known, and otherwise its own id."""
        return self._albums.first_of(message)

    def leave(self, chat_id: int, bot_id: int) -> None:
        """Note that the bot is no longer in this group."""
        self._seen.discard((chat_id, bot_id))
        self._bots.add(bot_id)
        self._set(bot_id, self.of(bot_id) - {chat_id})

    def migrate(self, old_id: int, new_id: int, bot_id: int) -> None:
        """Note that a group has a new id. Repeating changes nothing."""
        self._bots.add(bot_id)
        if self._migrated.get(new_id) != old_id:
            self._migrated = {**self._migrated, new_id: old_id}
            self._set(bot_id, self.of(bot_id) - {old_id} | {new_id})

    def is_first_of_album(self, message: Message) -> bool:
        """Return whether the message is the first one of its album that a process with this file has seen."""
        if self._albums.knows(message):
            return self._albums.is_first(message)
        self._read()  # another process of the same bot may have stored the first one
        is_known, is_first = self._albums.knows(message), self._albums.is_first(message)
        if not is_known:
            self._write_soon()
        return is_first

    def _set(self, bot_id: int, chats: frozenset[int]) -> None:
        self._present = {**self._present, bot_id: chats}
        self._write_soon()

    def _write_soon(self) -> None:
        if self._is_due:
            return
        self._is_due = True
        try:
            threading.Thread(target=self._write, name="participation-chats").start()
        except RuntimeError:  # the system has no more threads, or the program is about to end
            self._write()

    def _read(self) -> None:
        """Add from the file the new ids of chats, albums, and the groups of bots that this process does not know."""
        try:
            kept = _parse(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            advice = "the adapter starts with an empty list of groups"
            log.event("chats_unreadable", level=logging.WARNING, advice=advice, path=self._path, error=repr(error))
            return
        self._migrated = {**kept["migrated"], **self._migrated}
        self._present = {**kept["present"], **self._present}
        self._albums.add(kept["albums"])

    def _write(self) -> None:
        """Write a new file and move it into place, so that the file is always complete."""
        with self._writing:
            self._is_due = False
            self._read()
            state = {
                "migrated": {str(new): old for new, old in self._migrated.items()},
                "present": {str(bot): sorted(chats) for bot, chats in self._present.items()},
                "albums": self._albums.first,
            }
            new = self._path.with_name(f"{FILE}.{uuid4().hex}")
            try:
                private_files.make_folder(self._path.parent)
                private_files.write(new, orjson.dumps(state))
                new.replace(self._path)
            except OSError as error:
                advice = (
                    "when the bot ends, it forgets which groups got a new id, and the latest albums; make the folder "
                    "writable, or name the chats in `communities`"
                )
                log.event("chats_unwritable", level=logging.WARNING, advice=advice, path=self._path, error=repr(error))
                with suppress(OSError):
                    new.unlink()


def _parse(text: bytes) -> dict[str, Any]:
    state = orjson.loads(text)
    return {
        "migrated": {int(new): int(old) for new, old in state["migrated"].items()},
        "present": {int(bot): frozenset(map(int, chats)) for bot, chats in state["present"].items()},
        "albums": {str(album): int(first) for album, first in state.get("albums", {}).items()},
    }
