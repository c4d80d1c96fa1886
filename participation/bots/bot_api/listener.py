"""Gets every update from the adapters of both libraries, records the events, and remembers the chats.

The adapters run before the bot's own handlers, so nothing here waits, and nothing here raises an error.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from participation import log, settings
from participation.bots.bot_api import mapping, names, self_check
from participation.bots.bot_api.chats import Chats
from participation.bots.bot_api.ignored import IgnoredChannels
from participation.bots.bot_api.mapping import BotPresence, Migration
from participation.bots.bot_api.member_commands import MemberCommands
from participation.bots.bot_api.types import Bot, Update
from participation.bots.options import Channels, Communities
from participation.bots.recorder import Recorder
from participation.event import Event
from participation.platforms import telegram
from participation.publish import Publisher


class Listener:
    """Records the updates of the bots of one program.

    communities, publisher, ignored_channels: as in `Recorder`. commands: answers members, or None. Raises
    `ConfigError` if `Recorder` does, or if commands are given and `DATABASE_URL` is not set.
    """

    def __init__(
        self,
        communities: Communities | None,
        publisher: Publisher | None,
        ignored_channels: Channels | None,
        commands: MemberCommands | None,
    ) -> None:
        configured = settings.load()
        if commands is not None:
            configured.database()
        self._commands = commands
        self._recorder = Recorder(telegram.PLATFORM, communities, publisher, ignored_channels)
        folder = settings.folder("PARTICIPATION_SPOOL_DIR", configured.spool_dir)
        self.chats = Chats(folder, self._recorder.communities)
        self._ignored = IgnoredChannels(self._recorder.ignored_channels, self.chats.former_id)
        self._present: set[int] = set()
        self._checks: dict[tuple[int, int | None], asyncio.Task[bool]] = {}

    def see(self, update: Update, bot: Bot) -> None:
        """Record the events of an update, and start to answer if it is a command of a member. Never raises."""
        self._recorder.record(self._events, update, bot)
        self._recorder.record(self._start_tasks, update, bot)

    async def close(self) -> None:
        """Wait a few seconds for answers to members and until Redis has all events. Never raises. Repeating is safe."""
        while self._checks:
            self._checks.popitem()[1].cancel()
        if self._commands is not None:
            await self._commands.close()
        await self._recorder.close()

    def community(self, chat_id: int) -> str:
        """Return the community_id of a chat. A group that became a supergroup keeps the community of its first id."""
        return self._recorder.community(self.chats.place(chat_id))

    def _events(self, update: Update, bot: Bot) -> Iterator[Event]:
        migration = mapping.migration(update)
        if migration:
            self._migrate(migration, bot.id)
        is_ignored = self._ignored.has(update)
        if presence := mapping.presence(update):
            self._note(presence)
        elif not migration and (group_id := mapping.group_id(update)):
            self._see(group_id, bot.id, None if is_ignored else mapping.happened_at(update))
        if is_ignored:
            return
        yield from mapping.events(update, self.community, self.chats.is_first_of_album, self.chats.first_of_album)
        # Last, so that names never take an event's place.
        if migration:
            self._recorder.note_names(names.moved, migration, update, self.community)
        self._recorder.note_names(names.seen, update, self.community, self._recorder.ignored_channels)

    def _see(self, chat_id: int, bot_id: int, at: datetime | None) -> None:
        """Note that the bot is in this group, and publish it once in each process unless `at` is None.

        Workers then know of all groups of a community when the bot is removed from one of them.
        """
        self.chats.see(chat_id, bot_id)
        place = self.chats.place(chat_id)
        if at is not None and place not in self._present and not self.chats.has_left(chat_id):
            self._present.add(place)
            # A removal in the same second comes after this.
            before = min(at, datetime.now(UTC)) - timedelta(microseconds=1)
            self._recorder.note_presence(place, is_present=True, changed_at=before)

    def _migrate(self, migration: Migration, bot_id: int) -> None:
        self.chats.migrate(migration.old_id, migration.new_id, bot_id)
        # Telegram may have reported before that the bot was removed from the old chat.
        for place in {self.chats.place(chat_id) for chat_id in (migration.old_id, migration.new_id)}:
            self._recorder.note_presence(place, is_present=True, changed_at=migration.migrated_at)

    def _note(self, presence: BotPresence) -> None:
        if presence.is_present:
            self.chats.see(presence.chat_id, presence.bot_id)
            self._note_presence(presence)
            if not presence.is_administrator:
                _warn(
                    "the bot is not an administrator there, so it does not see reactions, joins and leaves; make it an "
                    "administrator",
                    chat=presence.chat_id,
                )
            return
        self.chats.leave(presence.chat_id, presence.bot_id)
        self._present.discard(self.chats.place(presence.chat_id))
        # Workers keep this by chat. So the bot may still be in other chats of the same community.
        if not self.chats.has_left(presence.chat_id) and not self._has_other_bot(presence.chat_id):
            self._note_presence(presence)

    def _has_other_bot(self, chat_id: int) -> bool:
        """Return whether another bot of this program is in the chat."""
        return self.chats.place(chat_id) in self.chats.places()

    def _note_presence(self, presence: BotPresence) -> None:
        place = self.chats.place(presence.chat_id)
        self._recorder.note_presence(place, is_present=presence.is_present, changed_at=presence.changed_at)

    def _start_tasks(self, update: Update, bot: Bot) -> tuple[()]:
        """Start the checks, each of them once, and the answer to a member."""
        # The first check waits for the first update, because Telegram then knows which updates the bot asks for.
        self._check_once((bot.id, None), partial(_check, bot))
        if (group_id := mapping.group_id(update)) is not None:
            self._check_once((bot.id, group_id), partial(self._check_group, bot, group_id))
        if self._commands is not None and update.message is not None:
            self._commands.hear(update.message, bot)
        return ()

    def _check_once(self, what: tuple[int, int | None], check: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        if what not in self._checks and len(self._checks) <= self_check.CHATS:
            self._checks[what] = asyncio.get_running_loop().create_task(check())

    async def _check_group(self, bot: Bot, chat_id: int) -> bool:
        if await self._checks[bot.id, None]:
            async for text in self_check.chats(bot, [chat_id]):
                _warn(text, bot=bot.id)
        return True


async def _check(bot: Bot) -> bool:
    """Log what the bot does not see in any chat. Return whether Telegram answered."""
    try:
        webhook, me = await bot.get_webhook_info(), await bot.get_me()
        for text in [*self_check.updates(webhook), *self_check.settings(me)]:
            _warn(text, bot=bot.id)
    except Exception as error:
        log.event("telegram_not_checked", level=logging.WARNING, bot=bot.id, error=type(error).__name__)
        return False
    return True


def _warn(text: str, **fields: int) -> None:
    log.event("telegram_incomplete", level=logging.WARNING, advice=text, **fields)
