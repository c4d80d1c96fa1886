"""What both libraries' adapters hand every update to: it records the events, and remembers the chats.

Nothing here waits, and nothing is ever raised: the adapters stand in the way of each of the bot's updates.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any

from participation import settings
from participation.bots.recorder import Recorder
from participation.bots.telegram import check, mapping
from participation.bots.telegram.chats import Chats
from participation.bots.telegram.commands import Commands
from participation.bots.telegram.mapping import Albums, Migration, Presence
from participation.event import Event
from participation.publish import Publisher

logger = logging.getLogger(__name__)


class Listener:
    """Listens to the updates of the bots of one program.

    communities, publisher: as in `Recorder`. commands: answers members; nobody does if None. Raises `ConfigError` as
    `Recorder` does, and without `DATABASE_URL` if there are commands.
    """

    def __init__(
        self, communities: Mapping[int, str] | None, publisher: Publisher | None, commands: Commands | None
    ) -> None:
        configured = settings.load()
        if commands is not None:
            configured.database()
        self._commands = commands
        self._recorder = Recorder("telegram", communities, publisher)
        folder = settings.folder("PARTICIPATION_SPOOL_DIR", configured.spool_dir)
        self.chats = Chats(folder, communities or {})
        self._albums = Albums()
        self._checks: dict[tuple[int, int | None], asyncio.Task[bool]] = {}

    def see(self, update: Any, bot: Any) -> None:
        """Record what the update tells. Never raises."""
        self._recorder.record(self._events, update, bot)
        self._recorder.record(self._look_further, update, bot)

    async def close(self) -> None:
        """Wait a few seconds until Redis has everything. Never raises; a repeat is safe."""
        while self._checks:
            self._checks.popitem()[1].cancel()
        if self._commands is not None:
            await self._commands.close()
        await self._recorder.close()

    def community(self, chat_id: int) -> str:
        """Return the community of a chat: that of its first id, if it has got another one."""
        return self._recorder.community(self.chats.place(chat_id))

    def _events(self, update: Any, bot: Any) -> Iterator[Event]:
        if migration := mapping.migration(update):
            self._migrate(migration, bot.id)
        elif presence := mapping.presence(update):
            self._note(presence)
        elif group_id := mapping.group_id(update):
            self.chats.see(group_id, bot.id)
        yield from mapping.events(update, self.community, self._albums)

    def _migrate(self, migration: Migration, bot_id: int) -> None:
        self.chats.migrate(migration.old_id, migration.new_id, bot_id)
        # In case that it was already told that the bot is no longer in the old chat.
        for place in {self.chats.place(chat_id) for chat_id in (migration.old_id, migration.new_id)}:
            self._recorder.note_presence(place, is_present=True, changed_at=migration.migrated_at)

    def _note(self, presence: Presence) -> None:
        if presence.is_present:
            self.chats.see(presence.chat_id, presence.bot_id)
            self._note_presence(presence)
            if not presence.is_administrator:
                logger.warning(
                    "telegram_incomplete chat=%d: the bot is not administrator there, so reactions, joins and leaves "
                    "will not be seen; make it administrator",
                    presence.chat_id,
                )
            return
        self.chats.leave(presence.chat_id, presence.bot_id)
        if not self.chats.has_left(presence.chat_id) and not self._is_elsewhere(presence.chat_id):
            self._note_presence(presence)

    def _is_elsewhere(self, chat_id: int) -> bool:
        """Whether a bot is still in this chat, or in another one of the same community."""
        community = self.community(chat_id)
        return any(self._recorder.community(place) == community for place in self.chats.places())

    def _note_presence(self, presence: Presence) -> None:
        place = self.chats.place(presence.chat_id)
        self._recorder.note_presence(place, is_present=presence.is_present, changed_at=presence.changed_at)

    def _look_further(self, update: Any, bot: Any) -> tuple[()]:
        """Begin what takes time: the answer to a member, and once each the checks of what will not be told."""
        # Not before the first update: by then the server knows which kinds of them are asked for.
        self._check_once((bot.id, None), partial(_check, bot))
        if (group_id := mapping.group_id(update)) is not None:
            self._check_once((bot.id, group_id), partial(self._check_group, bot, group_id))
        if self._commands is not None and update.message is not None:
            self._commands.hear(update.message, bot)
        return ()

    def _check_once(self, what: tuple[int, int | None], look: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        if what not in self._checks and len(self._checks) <= check.CHATS:
            self._checks[what] = asyncio.get_running_loop().create_task(look())

    async def _check_group(self, bot: Any, chat_id: int) -> bool:
        if await self._checks[bot.id, None]:
            async for text in check.chats(bot, [chat_id]):
                logger.warning("telegram_incomplete bot=%d: %s", bot.id, text)
        return True


async def _check(bot: Any) -> bool:
    """Say what the bot will not be told anywhere; return whether Telegram has answered."""
    try:
        for text in [*check.updates(await bot.get_webhook_info()), *check.rights(await bot.get_me())]:
            logger.warning("telegram_incomplete bot=%d: %s", bot.id, text)
    except Exception as error:
        logger.warning("telegram_not_checked bot=%d error=%s", bot.id, type(error).__name__)
        return False
    return True
