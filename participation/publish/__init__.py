"""① The bot's side: the task behind `track_event.delay`, many events at once, and publishing without waiting.

`track(event)` is for programs that must not block, such as a bot's event loop. It checks the event, puts it into a
queue and returns. It uses one `Publisher` for the process, made at the first call.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from participation.event import Event
from participation.publish.publisher import CLOSE_SECONDS, Counters, Left, Publisher

__all__ = ["Counters", "Left", "Publisher", "counters", "flush", "track"]


@cache
def _publisher() -> Publisher:
    return Publisher()


def track(event: Event | Mapping[str, Any]) -> bool:
    """Publish an event without waiting, as `Publisher.track` does. Raises `ConfigError` if `REDIS_URL` is missing."""
    return _publisher().track(event)


def flush(seconds: float = CLOSE_SECONDS) -> Left:
    """Wait until Redis has everything, as `Publisher.flush` does."""
    return _publisher().flush(seconds)


def counters() -> Counters:
    """Return the counts of this process, as `Publisher.counters` does."""
    return _publisher().counters()
