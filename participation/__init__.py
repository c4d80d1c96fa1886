"""Stores every participation event of a community exactly once, and computes highlights for every local day.

The steps of an event, in the order of the packages:

1. `publish`: a bot calls `track_event.delay(event)`. The `event` is validated and sent as a stock Celery `message`.
   `track_events(events)` sends many, and `track(event)` sends without waiting. `bots` has adapters for Discord and
   Telegram, `imports` sends history from files.
2. `ingest.claim`: a worker moves the waiting messages into a batch and publishes a pointer task for it.
3. `ingest.decode`: the batch is decoded. A message that is not a valid event becomes a dead letter with a reason.
4. `ingest.flush`: the batch is stored in PostgreSQL in one transaction, through `store.ingest`.
5. `highlights.compute`: each local day that has ended or changed is computed from the raw events, in `store.days`.
6. `highlights.digest`: a computed day is read, and the part to show is chosen.
7. `highlights.renderers`: the digest is laid out for people and for programs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from participation.errors import ConfigError, InvalidEvent, ParticipationError, Unavailable
    from participation.event import ActorKind, Event, EventType
    from participation.publish import track
    from participation.tasks import track_event, track_events

__all__ = [
    "ActorKind",
    "ConfigError",
    "Event",
    "EventType",
    "InvalidEvent",
    "ParticipationError",
    "Unavailable",
    "track",
    "track_event",
    "track_events",
]

_MODULES = {
    "participation.errors": ("ConfigError", "InvalidEvent", "ParticipationError", "Unavailable"),
    "participation.event": ("ActorKind", "Event", "EventType"),
    "participation.publish": ("track",),
    "participation.tasks": ("track_event", "track_events"),
}


def __getattr__(name: str) -> Any:
    # Loaded on first use, because the command line, for example, prints its help without Celery and pydantic.
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
