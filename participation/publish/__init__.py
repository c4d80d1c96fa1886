"""① The bot's side: what stands behind `track_event.delay`, many events at once, and handing over without waiting.

`track(event)` is for programs that must not stand still, such as a bot's event loop: it checks the event, puts it into
a queue and returns. It uses one `Publisher` for the process, made at the first call.
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
    """Do what `Publisher.track` does. Raises `ConfigError` at the first call without `REDIS_URL`."""
    return _publisher().track(event)


def flush(seconds: float = CLOSE_SECONDS) -> Left:
    """Do what `Publisher.flush` does."""
    return _publisher().flush(seconds)


def counters() -> Counters:
    """Do what `Publisher.counters` does."""
    return _publisher().counters()
