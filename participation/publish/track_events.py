"""Publishes many events, hundreds in each round trip. An error says how many of them Redis has taken."""

from collections.abc import Iterable, Sequence
from itertools import islice

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from participation import event, events_queue
from participation.errors import InvalidEvent, ParticipationError
from participation.event import Event
from participation.publish.sender import CHUNK, raise_unavailable
from participation.publish.task import TrackEvent


def send_events(task: TrackEvent, events: Iterable[object], queue_limit: int | None) -> int:
    """Publish the events; return how many, after Redis has acknowledged all of them.

    `participation.track_events` documents the arguments and the errors.
    """
    sent = 0
    rest = iter(events)
    # Celery's own publisher sends messages one by one.
    size = 1 if task.is_watched() else CHUNK
    while chunk := list(islice(rest, size)):
        try:
            valid = [_checked(value, index) for index, value in enumerate(chunk, sent)]
            _send_chunk(task, valid, sent, queue_limit)
        except ParticipationError as error:
            error.acknowledged = sent
            raise
        sent += len(chunk)
    return sent


def _send_chunk(task: TrackEvent, chunk: Sequence[Event], sent: int, queue_limit: int | None) -> None:
    try:
        if queue_limit is not None and _may_wait(task, sent):
            events_queue.wait_for_room(task.sender.redis, lambda: None, queue_limit)
        task.send(chunk)
    except (OperationalError, RedisError, OSError) as error:
        raise_unavailable(
            error,
            f"it has taken the first {sent:,} events and none after them; correct the cause, and send the other "
            "events again",
            f"It has taken the first {sent:,} events; of the next {len(chunk):,} it is unknown, and sending them again "
            "is safe",
        )


def _may_wait(task: TrackEvent, sent: int) -> bool:
    """Return whether to check the length of the queue first.

    The first chunk is sent at once, so that a bot with a few events never waits for a worker. A program that runs its
    tasks itself (`task_always_eager`) has no queue.
    """
    return bool(sent) and sent % CHUNK == 0 and not task.app.conf.task_always_eager


def _checked(value: object, index: int) -> Event:
    try:
        return event.decode(value)
    except InvalidEvent as error:
        error.index = index
        raise
