"""① Publishing, on the bot's side: the task behind `track_event.delay`, `track_events`, and `track`.

`track(event)` is for programs that must not block, such as a bot's event loop. It checks the event, puts it into a
queue and returns. It uses one `Publisher` for the process, created at the first call.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from participation.event import Event
from participation.notices.names import Name
from participation.publish.counters import Counters, Left
from participation.publish.publisher import CLOSE_SECONDS, Publisher

__all__ = ["Counters", "Left", "Publisher", "counters", "flush", "note_names", "track"]


@cache
def _publisher() -> Publisher:
    return Publisher()


def track(event: Event | Mapping[str, Any]) -> bool:
    """Publish an event without waiting; return whether it was taken.

    event: in any form that `track_event.delay` takes. It is refused, and a warning is logged, when queue and spool are
    full. Raises `InvalidEvent` if the event breaks a rule, and `ConfigError` if `REDIS_URL` is missing.
    """
    return _publisher().track(event)


def note_names(names: Iterable[Name | Mapping[str, Any]]) -> bool:
    """Publish names of accounts, channels and spaces without waiting; return whether all were taken.

    names: each a JSON object with the fields in `docs/names.md`. Raises `InvalidEvent` for the first name that breaks a
    rule, and `ConfigError` if `REDIS_URL` is missing.
    """
    return _publisher().note_names(names)


def flush(seconds: float = CLOSE_SECONDS) -> Left:
    """Wait at most this long until Redis has all events; return what is left. This blocks an event loop."""
    return _publisher().flush(seconds)


def counters() -> Counters:
    """Return the counts of the events of this process so far."""
    return _publisher().counters()
