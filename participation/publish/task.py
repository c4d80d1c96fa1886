"""The `track_event` task as its callers see it: it validates, sends, and answers within a bounded time."""

from collections.abc import Mapping, Sequence
from typing import Any

from celery import Task
from celery.result import AsyncResult
from kombu.exceptions import OperationalError

from participation import event, message
from participation.errors import Unavailable


class TrackEvent(Task[..., Any]):
    """A Celery task whose caller learns at once that an event is invalid or that Redis did not take it."""

    def apply_async(  # type: ignore[override] # the options are Celery's, passed on as they are
        self,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        **options: Any,
    ) -> AsyncResult[None]:
        """Send the event; when this returns, Redis has acknowledged it. `delay(event)` comes here.

        Raises `InvalidEvent` before anything is sent, and `Unavailable` when Redis refuses or does not answer in
        time: then it is unknown whether the event was taken, and sending the same event again is safe.
        """
        payload = event.encode(event.decode(message.only_event(args or (), kwargs or {})))
        options["headers"] = {**(options.get("headers") or {}), **message.headers()}
        try:
            return super().apply_async((payload,), {}, **options)
        except (OperationalError, OSError) as error:
            raise Unavailable(
                f"Redis did not acknowledge the event ({error}): is it running, and is REDIS_URL right? "
                "It is unknown whether the event was taken; sending the same event again is safe"
            ) from error
