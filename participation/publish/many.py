"""Sending many events: stock messages, hundreds to a round trip, and a failure that tells how far it came."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NoReturn

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from participation import event
from participation.errors import InvalidEvent, ParticipationError, Unavailable
from participation.event import Event
from participation.publish import bulk
from participation.publish.push import is_refusal
from participation.publish.task import TrackEvent


def send(task: TrackEvent, events: Iterable[object], queue_limit: int | None) -> int:
    """Do what `participation.track_events` promises."""
    sent = 0
    rest = iter(events)
    # What Celery sends by itself it sends one by one.
    size = 1 if task.is_watched() else bulk.CHUNK
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
            bulk.make_room(task.sender.redis, lambda: None, queue_limit)
        task.put(chunk)
    except (OperationalError, RedisError, OSError) as error:
        _refuse(error, sent, len(chunk))


def _may_wait(task: TrackEvent, sent: int) -> bool:
    """Whether it is time to look at the queue.

    The first chunk goes at once, as `delay` does: a bot with a few events does not wait for a worker. An eager program
    has no queue.
    """
    return bool(sent) and sent % bulk.CHUNK == 0 and not task.app.conf.task_always_eager


def _checked(value: object, index: int) -> Event:
    try:
        return event.decode(value)
    except InvalidEvent as error:
        error.index = index
        raise


def _refuse(error: Exception, sent: int, count: int) -> NoReturn:
    if is_refusal(error):
        raise Unavailable(
            f"Redis refuses the events ({error}): it has taken the first {sent:,} and none after them; "
            "put right what Redis says, and send the others again"
        ) from error
    raise Unavailable(
        f"Redis did not acknowledge the events ({error}): is it running, and is REDIS_URL right? "
        f"It has taken the first {sent:,}; of the next {count:,} it is unknown, and sending them again is safe"
    ) from error
