"""Every participation event of a community stored exactly once, every local day turned into highlights.

The route of an event, in the order of the packages:

1. `publish`: a bot calls `track_event.delay(event)`; the `event` is validated and travels as a stock Celery `message`;
   `track_events(events)` does so with many, `publish.track(event)` without waiting. `bots` does it for what Discord and
   Telegram tell.
2. `ingest.claim`: a worker moves what has gathered into a batch of its own and publishes a pointer to it.
3. `ingest.read`: the batch is decoded; what is no event is quarantined with the reason.
4. `ingest.flush`: the batch goes into PostgreSQL in one transaction, through `store`.
5. `store.highlights`: each local day that has closed or changed is computed from the raw events.
6. `highlights`: a computed day is read and rendered for people.
"""

from participation.errors import ConfigError, InvalidEvent, ParticipationError, Unavailable
from participation.event import ActorKind, Event, EventType
from participation.tasks import track_event, track_events

__all__ = [
    "ActorKind",
    "ConfigError",
    "Event",
    "EventType",
    "InvalidEvent",
    "ParticipationError",
    "Unavailable",
    "track_event",
    "track_events",
]
