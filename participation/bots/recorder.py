"""What all adapters share: from a platform's objects, through a pure mapping, to the publisher, and never an error.

Adapters run inside other people's bots. Whatever goes wrong here is counted and logged, and the bot does not notice.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import ParamSpec

from participation.event import Event
from participation.publish import Publisher
from participation.publish.complaints import Complaints

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")


class Recorder:
    """Records the events of one bot on one platform.

    communities: from the id of a guild or chat to its community_id, for those that do not take the default,
    `<platform>:<id>`. publisher: one that others use too; by default its own. failed: how often something went wrong.
    Raises `ConfigError` as `Publisher` does.
    """

    def __init__(
        self, platform: str, communities: Mapping[int, str] | None = None, publisher: Publisher | None = None
    ) -> None:
        self.platform = platform
        self.failed = 0
        self._communities = dict(communities or {})
        self._shared = publisher
        self._own = Publisher() if publisher is None else None
        self._complaints = Complaints(logger)

    def community(self, place_id: int) -> str:
        """Return the community_id of a guild or chat."""
        return self._communities.get(place_id, f"{self.platform}:{place_id}")

    def record(
        self, mapping: Callable[Arguments, Iterable[Event]], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> None:
        """Hand over the events that the mapping makes of the arguments. Never raises."""
        try:
            publisher = self._publisher()
            for each in mapping(*arguments, **options):
                publisher.track(each)
        except Exception as error:
            self._fail(getattr(mapping, "__qualname__", "mapping"), error)

    def note_presence(self, place_id: int, *, is_present: bool, changed_at: datetime) -> None:
        """Hand over that the bot was removed from a guild or chat, or is there again. Never raises."""
        try:
            community_id = self.community(place_id)
            self._publisher().note_presence(community_id, self.platform, is_present=is_present, changed_at=changed_at)
        except Exception as error:
            self._fail("note_presence", error)

    async def close(self) -> None:
        """Wait a few seconds until Redis has everything, and say what it has not. Never raises.

        What comes after that is handed over all the same, and sent at the latest when the program ends.
        """
        try:
            own, self._own = self._own, None
            if not (publisher := own or self._shared):
                return
            left = await asyncio.to_thread(publisher.close if own else publisher.flush)
            if left.waiting or left.spooled:
                logger.warning(
                    "events_left platform=%s spooled=%d waiting=%d: the next start sends what is spooled",
                    self.platform,
                    left.spooled,
                    left.waiting,
                )
        except Exception as error:
            self._fail("close", error)

    def _publisher(self) -> Publisher:
        if self._shared:
            return self._shared
        self._own = self._own or Publisher()
        return self._own

    def _fail(self, where: str, error: Exception) -> None:
        self.failed += 1
        self._complaints.log(
            "event_lost", "platform=%s where=%s failed=%d error=%r", self.platform, where, self.failed, error
        )
