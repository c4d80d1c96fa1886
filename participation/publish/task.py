"""The `track_event` task as its callers see it: it validates, sends, and answers within a bounded time."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NoReturn, cast

from celery import Task, signals
from celery.local import PromiseProxy
from celery.result import AsyncResult, EagerResult
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from participation import broker, event, message, settings
from participation.errors import Unavailable
from participation.event import Event
from participation.publish.push import Sender, is_refusal


class TrackEvent(Task[..., Any]):
    """A Celery task whose caller learns at once that an event is invalid or that Redis did not take it."""

    def apply_async(
        self,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        *positional: Any,
        **options: Any,
    ) -> AsyncResult[None]:
        """Send the event; when this returns, Redis has acknowledged it. `delay(event)` comes here.

        Raises `InvalidEvent` before anything is sent, and `Unavailable` when Redis refuses or does not answer within
        `PARTICIPATION_PUBLISH_TIMEOUT_SECONDS`: then it is unknown whether the event was taken, and sending the same
        event again is safe.
        """
        given = event.decode(message.only_event(args or (), kwargs or {}))
        try:
            if positional or options or self.is_watched():
                return self._publish(event.encode(given), positional, options)
            return self._push(given)
        except (OperationalError, RedisError, OSError) as error:
            _refuse(error)

    def put(self, events: Sequence[Event]) -> None:
        """Send valid events in one round trip; one by one in a program that wants more of Celery than that.

        Raises what Celery and redis-py raise.
        """
        if self.is_watched():
            for each in events:
                self._publish(event.encode(each), (), {})
        else:
            self.sender.push([message.wrap(event.to_json(each)) for each in events])

    def _push(self, given: Event) -> AsyncResult[None]:
        """Send what Celery would send, in one round trip.

        Celery itself asks for the queue's binding first and opens a client for each message.
        """
        task_id = message.new_id()
        self.sender.push([message.wrap(event.to_json(given), task_id=task_id)])
        # Made when it is asked for more than its class: few callers do.
        return cast("AsyncResult[None]", PromiseProxy(partial(self.AsyncResult, task_id)))

    def _publish(
        self, payload: Mapping[str, object], positional: Sequence[Any], options: dict[str, Any]
    ) -> AsyncResult[None]:
        """Let Celery send it, with all that it has to offer."""
        options["headers"] = {**(options.get("headers") or {}), **message.headers()}
        options.setdefault("retry", False)
        begun = time.monotonic()
        try:
            result = super().apply_async((payload,), {}, *positional, **options)
        except (OperationalError, RedisError, OSError):
            # A connection that Redis has forgotten fails at once, and a new one may do.
            if time.monotonic() - begun > self._limit / 4:
                raise
            result = super().apply_async((payload,), {}, *positional, **options)
        if isinstance(result, EagerResult):
            result.maybe_throw()
        return result

    def is_watched(self) -> bool:
        """Whether the program wants more of Celery than a message sent: to run tasks itself, or to hear of them."""
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
        return Sender(broker.connect_within(self.app.conf.broker_url, self._limit))


def _refuse(error: Exception) -> NoReturn:
    if is_refusal(error):
        raise Unavailable(
            f"Redis refuses the event ({error}): it was not taken; put right what Redis says, and send it again"
        ) from error
    raise Unavailable(
        f"Redis did not acknowledge the event ({error}): is it running, and is REDIS_URL right? "
        "It is unknown whether the event was taken; sending the same event again is safe"
    ) from error
