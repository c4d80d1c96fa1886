"""The recorder, which all adapters share. It gives the events of a mapping to the publisher, and never raises.

Adapters run inside other people's bots. The recorder counts and logs every error, so that no error affects the bot.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import ParamSpec

from participation import log
from participation.bots.names import Seen, ToldNames
from participation.bots.options import (
    Channels,
    Communities,
    check_communities,
    check_ignored_channels,
    check_publisher,
)
from participation.errors import InvalidEvent
from participation.event import Event
from participation.notices.names import Name
from participation.notices.presence import Presence
from participation.platforms import default_community_id
from participation.publish import Publisher

Arguments = ParamSpec("Arguments")


class Recorder:
    """Records the events of one bot on one platform.

    communities: the community_id of guilds or chats, by their id. The default is `<platform>:<id>`. publisher: a
    publisher that other code uses too. The default is a new one. ignored_channels: the ids of channels of which nothing
    may leave the bot; the adapters obey it. failed: the number of errors. Raises `ConfigError` if an argument is wrong,
    or if `Publisher` does.
    """

    def __init__(
        self,
        platform: str,
        communities: Communities | None = None,
        publisher: Publisher | None = None,
        ignored_channels: Channels | None = None,
    ) -> None:
        self.platform = platform
        self.failed = 0
        self.communities = check_communities(platform, communities)
        self.ignored_channels = check_ignored_channels(platform, ignored_channels)
        self._told = ToldNames()
        self._shared_publisher = check_publisher(publisher)
        self._own_publisher = Publisher() if publisher is None else None
        self._throttle = log.Throttle()

    def community(self, place_id: int) -> str:
        """Return the community_id of a guild or chat."""
        return self.communities.get(place_id, default_community_id(self.platform, place_id))

    def record(
        self, mapping: Callable[Arguments, Iterable[Event]], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> None:
        """Call the mapping with the arguments, and publish the events that it returns. Never raises."""
        try:
            publisher = self._publisher()
            for each in mapping(*arguments, **options):
                publisher.track(each)
        except Exception as error:
            self.fail(getattr(mapping, "__qualname__", "mapping"), error)

    def note_names(
        self, mapping: Callable[Arguments, Iterable[Seen]], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> bool:
        """Call the mapping with the arguments, and publish the names that were not told before. Never raises.

        Return whether nothing is left to tell. A name that the publisher refuses is told when it is seen again.
        """
        return self.publish_names(self.new_names(mapping, *arguments, **options))

    def new_names(
        self, mapping: Callable[Arguments, Iterable[Seen]], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> dict[Seen, Name]:
        """Call the mapping, and return the names that were not told before and follow the rules. Never raises."""
        try:
            news = self._told.news(mapping(*arguments, **options))
        except Exception as error:
            self.fail(getattr(mapping, "__qualname__", "mapping"), error)
            return {}
        return {each: name for each in news if (name := self._decode(each))}

    def publish_names(self, new: Mapping[Seen, Name]) -> bool:
        """Publish what `new_names` returned, and return whether nothing is left to tell. Never raises."""
        try:
            is_taken = not new or self._publisher().note_names(new.values())
        except Exception as error:
            self.fail("publish_names", error)
            return False
        if is_taken:
            self._told.add(new)
        return is_taken

    def _decode(self, seen: Seen) -> Name | None:
        try:
            return seen.decode(self.platform)
        except InvalidEvent as error:
            self.fail("note_names", error)
            return None

    @property
    def waiting(self) -> int:
        """How many events and notices wait for Redis, in memory and on disk."""
        left = self._publisher().left()
        return left.waiting + left.spooled

    def note_presence(self, place_id: int, *, is_present: bool, changed_at: datetime) -> None:
        """Publish that the bot is in a guild or chat, or was removed from it. Never raises."""
        try:
            presence = Presence(self.community(place_id), self.platform, is_present, changed_at, str(place_id))
            self._publisher().note_presence(presence)
        except Exception as error:
            self.fail("note_presence", error)

    async def close(self) -> None:
        """Wait a few seconds until Redis has all events, and log how many are left. Never raises. Repeating is safe.

        Later events are still published. They are sent at the latest when the program ends.
        """
        try:
            own, self._own_publisher = self._own_publisher, None
            if not (publisher := own or self._shared_publisher):
                return
            left = await asyncio.to_thread(publisher.close if own else publisher.flush)
            if left.waiting or left.spooled:
                log.event(
                    "events_left",
                    level=logging.WARNING,
                    advice="the next start of the bot sends the spooled events",
                    platform=self.platform,
                    spooled=left.spooled,
                    waiting=left.waiting,
                )
        except Exception as error:
            self.fail("close", error)

    def _publisher(self) -> Publisher:
        if self._shared_publisher:
            return self._shared_publisher
        self._own_publisher = self._own_publisher or Publisher()
        return self._own_publisher

    def fail(self, where: str, error: Exception) -> None:
        """Count an error, and log it at most once a minute."""
        self.failed += 1
        self._throttle.warn("event_lost", platform=self.platform, where=where, failed=self.failed, error=repr(error))
