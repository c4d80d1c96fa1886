"""The names that discord.py's objects tell, and a task that tells all names of a guild without delaying the bot.

In: guilds, channels, threads and members, as the library's cache has them. Out: names, through the recorder.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import discord

from participation.bots.discord import channels
from participation.bots.names import Seen
from participation.bots.recorder import Recorder
from participation.notices.names import LONGEST, Name

SLICE: Final = 100
"""How many members or channels are read before the bot may run again. It takes about 3 ms."""

BEHIND: Final = 200
"""With more events and notices that wait for Redis, the names of guilds wait, so that they take no events' place."""

RETRY_SECONDS: Final = 1.0

Subject = discord.Guild | discord.abc.GuildChannel | discord.Thread | discord.Member
"""What can have a name in a guild."""

Community = Callable[[int], str]


def seen(community: Community, subjects: Iterable[Subject], ignored: frozenset[str] = frozenset()) -> Iterator[Seen]:
    """Yield the names that the library knows now. Channels that are ignored are left out."""
    now = datetime.now(UTC)
    for subject in subjects:
        if isinstance(subject, discord.Guild):
            yield Seen("space", community(subject.id), str(subject.id), subject.name, now)
        elif isinstance(subject, discord.Member):
            yield account(community(subject.guild.id), subject, now)
        elif not channels.is_ignored(subject, ignored):
            yield channels.name(community(subject.guild.id), subject, now)


def author(community: Community, sent: discord.Message) -> Iterator[Seen]:
    """Yield the name of who wrote a message in a guild. Webhooks can have another name in each message.

    If the library knows the guild, only its members are told, because it does not know the nickname of others.
    """
    guild_id = sent.guild.id if sent.guild else getattr(sent.channel, "guild_id", None)
    if guild_id is not None and sent.webhook_id is None and (isinstance(sent.author, discord.Member) or not sent.guild):
        yield account(community(guild_id), sent.author, datetime.now(UTC))


def account(community_id: str, user: discord.Member | discord.User, at: datetime) -> Seen:
    """Return the name that members see: the nickname in the guild, or else the global name, or else the username."""
    joined_at = user.joined_at if isinstance(user, discord.Member) else None
    return Seen("account", community_id, str(user.id), user.display_name, at, username=user.name, joined_at=joined_at)


class GuildNames:
    """Tells all names of guilds that became available, one guild after the other and in slices."""

    def __init__(self, client: discord.Client, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder
        self._due: dict[int, None] = {}
        self._is_due = asyncio.Event()

    def add(self, guild_id: int) -> None:
        """Tell the names of this guild soon."""
        self._due[guild_id] = None
        self._is_due.set()

    async def run(self) -> None:
        """Tell the names of the guilds that were added, until the task is cancelled."""
        while await self._is_due.wait():
            guild_id = next(iter(self._due))
            del self._due[guild_id]
            if not self._due:
                self._is_due.clear()
            guild = self._client.get_guild(guild_id)
            try:
                if guild is not None:
                    await self._tell([guild, *guild.channels, *guild.threads, *guild.members])
            except Exception as error:
                self._recorder.fail("guild_names", error)

    async def _tell(self, subjects: Sequence[Subject]) -> None:
        found: dict[Seen, Name] = {}
        for start in range(0, len(subjects), SLICE):
            part = subjects[start : start + SLICE]
            found |= self._recorder.new_names(seen, self._recorder.community, part, self._recorder.ignored_channels)
            await asyncio.sleep(0)
            if len(found) > LONGEST - SLICE:
                await self._publish(found)
                found = {}
        await self._publish(found)

    async def _publish(self, found: dict[Seen, Name]) -> None:
        while found and (self._recorder.waiting > BEHIND or not self._recorder.publish_names(found)):
            await asyncio.sleep(RETRY_SECONDS)
