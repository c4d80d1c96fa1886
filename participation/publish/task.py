"""① The `track_event` task on the side of its callers: it validates and sends within a limited time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from celery import Task, signals
from celery.local import PromiseProxy
from celery.result import AsyncResult, EagerResult
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from participation import event, keys, message, redis_client, settings
from participation.errors import ParticipationError
from participation.event import Event
from participation.publish.sender import Sender, raise_unavailable

if TYPE_CHECKING:
    _Task = Task[..., Any]
else:
    _Task = Task  # before Celery 5.7 the class has no parameters at run time


class TrackEvent(_Task):
    """A Celery task that raises an error at once if an event is invalid or Redis did not take it."""

    def apply_async(
        self,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        *positional: Any,
        **options: Any,
    ) -> AsyncResult[None]:
        """Send the event; when this returns, Redis has acknowledged it. `delay(event)` calls this.

        Raises `InvalidEvent`, or `ConfigError` for a wrong option, before anything is sent. Raises `Unavailable` if
        Redis refuses or does not answer within `PARTICIPATION_PUBLISH_TIMEOUT_SECONDS`. Then it is unknown whether
        Redis took the event, and sending the same event again is safe.
        """
        given = event.decode(message.only_argument(keys.TRACK_EVENT, args or (), kwargs or {}))
        try:
            if positional or options or self.is_watched():
                return self._publish(event.encode(given), positional, options)
            return self._push(given)
        except (OperationalError, RedisError, OSError) as error:
            raise_unavailable(
                error,
                "the event was not taken; correct the cause, and send the event again",
                "It is unknown whether the event was taken; sending the same event again is safe",
            )

    def send(self, events: Sequence[Event]) -> None:
        """Send valid events in one round trip, or one by one through Celery if `is_watched()`.

        Raises the errors of Celery and redis-py.
        """
        if self.is_watched():
            for each in events:
                self._publish(event.encode(each), (), {})
        else:
            self.sender.send([message.encode_json(event.to_json(each)) for each in events])

    def _push(self, given: Event) -> AsyncResult[None]:
        """Send the same message as Celery, but in one round trip.

        Celery's publisher asks for the queue's binding first, and opens a client for each message.
        """
        task_id = message.new_id()
        self.sender.send([message.encode_json(event.to_json(given), task_id=task_id)])
        # Created on first use, because few callers look at the result.
        return cast("AsyncResult[None]", PromiseProxy(partial(self.AsyncResult, task_id)))

    def _publish(
        self, payload: Mapping[str, object], positional: Sequence[Any], options: Mapping[str, Any]
    ) -> AsyncResult[None]:
        """Send the event through Celery's own publisher. Raises `ConfigError` if it cannot use the options."""
        from participation.publish import options as checks

        checks.check(options)
        try:
            result = self._publish_twice(payload, positional, options)
        except ParticipationError:
            raise  # of the task itself, in a program that runs its tasks itself
        except Exception as error:
            if self.app.conf.task_always_eager or not checks.is_callers(error):
                raise
            raise checks.refused(error, options) from error
        if isinstance(result, EagerResult):
            result.maybe_throw()
        return result

    def _publish_twice(
        self, payload: Mapping[str, object], positional: Sequence[Any], options: Mapping[str, Any]
    ) -> AsyncResult[None]:
        """Send the event, and once more if the connection was closed."""
        headers = {**(options.get("headers") or {}), **message.sent_at_header()}
        given = {"retry": False, **options, "headers": headers}
        begun = time.monotonic()
        try:
            return super().apply_async((payload,), {}, *positional, **given)
        except (OperationalError, RedisError, OSError):
            # A connection that Redis has closed fails at once. A new one may work.
            if time.monotonic() - begun > self._limit / 4:
                raise
            return super().apply_async((payload,), {}, *positional, **given)

    def is_watched(self) -> bool:
        """Return whether Celery must send: the program runs tasks itself, or listens to Celery's publish signals."""
        return bool(
            signals.before_task_publish.receivers
            or signals.after_task_publish.receivers
            or self.app.conf["task_always_eager"]
        )

    @cached_property
    def _limit(self) -> float:
        return settings.load().publish_timeout_seconds

    @cached_property
    def sender(self) -> Sender:
        """The sender of all calls in this process."""
        return Sender(redis_client.connect_within(settings.load().redis(), self._limit))
