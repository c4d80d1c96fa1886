"""Extends an ordinary Celery worker: it claims events, and publishes lost pointers of open batches again."""

from __future__ import annotations

import gc
import logging
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.platforms import EX_FAILURE
from celery.signals import worker_init, worker_process_init
from celery.worker import consumer, control, request
from celery.worker.control import control_command, inspect_command
from redis import RedisError
from redis.exceptions import OutOfMemoryError, ResponseError

from participation import events_queue, extras, keys, log, redis_client, settings
from participation.app import app, ignored_brokers
from participation.errors import ConfigError, Unavailable
from participation.ingest.claim import Limits, claim, open_batches, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery
    from redis import Redis
    from sqlalchemy import Engine

CLAIM_TIMEOUT_SECONDS = 2.0
"""Longest wait for Redis in one claim or sweep. The worker's event loop is blocked meanwhile."""

SWEEP_SECONDS = 5.0
"""Longest time between two sweeps, which look for batches whose pointer was lost."""

YOUNG_OBJECTS = 100_000
"""Number of new objects after which a worker process collects garbage. Far more than Python's default."""

WARN_SECONDS = 10.0
"""Shortest time between two outages of the same server that are logged."""

REFUSED_SECONDS = 2.0
"""Pause after Redis refused a command that Celery needs."""

STORING_ADVICE = "no event is lost, and the worker tries again: `participation doctor` shows what to correct"
CLAIM_ADVICE = "events wait in Redis, and nothing is lost: `participation doctor` shows what to correct"


@worker_init.connect
def prepare(sender: Any, **_: object) -> None:
    """Prepare a worker that is about to start: check its settings and its database, and add the step that claims.

    Ends the process with code 2 if the settings or the schema are wrong. If a server does not
    answer, it does not wait.
    """
    if sender.app is not app:
        return
    app.steps["consumer"].add(ClaimStep)
    # Workers do not need to know each other: all that they share is in Redis and PostgreSQL.
    sender.options.update(without_gossip=True, without_mingle=True)
    if ignored := ignored_brokers():
        advice = "REDIS_URL alone decides; remove these variables and the option --broker"
        log.event("broker_ignored", level=logging.WARNING, advice=advice, variables=",".join(ignored))
    try:
        extras.require("server")
        _check_and_make_room()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - Celery's logging is not set up yet
        sys.exit(2)
    except (Unavailable, RedisError) as error:
        log.event("server_unavailable", level=logging.WARNING, detail=error)


@worker_process_init.connect
def tune_garbage_collection(**_: object) -> None:
    """Collect garbage less often, and never inherited objects.

    A batch has thousands of objects, and none of them are in reference cycles.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def _check_and_make_room() -> None:
    from participation.store.database import worker_engine
    from participation.store.schema import migrate

    configured = settings.load()
    engine = worker_engine(configured)
    try:
        with redis_client.connect(configured.redis(), CLAIM_TIMEOUT_SECONDS) as client:
            migrate.check(engine)
            _make_room(client, engine, configured.batch_size)
    finally:
        engine.dispose()


def _make_room(client: Redis, engine: Engine, size: int) -> None:
    """While Redis is full, store the messages that wait now. Otherwise Celery's first writes to Redis would fail.

    Does not store messages that bots send meanwhile, because they can arrive as fast as this makes room.
    """
    from participation.ingest.flush import flush

    limits = Limits(size=size, waiting=sys.maxsize, open=sys.maxsize)
    batches = events_queue.length(client) // size + 1
    for batch_id in open_batches(client) if _is_full(client) else []:
        flush(client, engine, batch_id)
    while batches and _is_full(client) and (claimed := claim(client, limits)) is not None:
        flush(client, engine, claimed)
        batches -= 1


def _is_full(client: Redis) -> bool:
    try:
        memory = cast("dict[str, int]", client.info("memory"))
    except ResponseError:  # managed services may refuse INFO
        return False
    return 0 < memory["maxmemory"] * redis_client.NEARLY_FULL <= memory["used_memory"]


@control_command(name=keys.STOP_WORKER, args=[("reason", str)])
def stop_worker(_state: Any, reason: str) -> None:
    """End the worker with exit code 1, after it has stored the batches that it is working on."""
    log.event(
        "worker_halted",
        level=logging.CRITICAL,
        advice="nothing is lost: the batch stays in Redis, and every worker tries it again. Correct the cause, then "
        "start the worker again",
        reason=reason,
    )
    raise WorkerShutdown(EX_FAILURE)


class StoringRequest(request.Request):
    """A task in the main process of the worker. Logs once when tasks begin to fail, and once when they work again.

    Its own processes cannot do that, because each of them would log it.
    """

    outage = log.Outage("storing_failed", "storing_recovered", STORING_ADVICE, WARN_SECONDS)
    has_failed = False

    def on_retry(self, exc_info: Any) -> None:
        self._note(exc_info)
        super().on_retry(exc_info)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        self._note(exc_info)
        super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        self.has_failed = self.has_failed or not soft
        super().on_timeout(soft, timeout)

    def acknowledge(self) -> None:
        """Called once for each task, because tasks are acknowledged late. Expired tasks were not given to a process."""
        super().acknowledge()
        if self.worker_pid is not None and not self.has_failed:
            self.outage.end()

    def _note(self, exc_info: Any) -> None:
        self.has_failed = True
        raised = getattr(exc_info.exception, "exc", None) or exc_info.exception
        if isinstance(raised, Unavailable):
            self.outage.begin(raised)


@inspect_command()
def active_queues(state: Any) -> list[dict[str, Any]]:
    """List the queues from which a worker takes messages, also the events queue, if it claims from there.

    Flower asks for this, and shows the length of each queue.
    """
    queues: list[dict[str, Any]] = control.active_queues(state)  # type: ignore[attr-defined]
    if _claims(state.app):
        queues.append({**state.app.amqp.queues.new_missing(keys.EVENTS).as_dict(recurse=True), keys.CLAIMED: True})
    return queues


class Consumer(consumer.Consumer):
    """Celery's consumer. When it reconnects to a full Redis, it makes room before it declares its queues."""

    outage = log.Outage("redis_refused", "redis_recovered", CLAIM_ADVICE, WARN_SECONDS)
    recovery: Any = None

    def on_ready(self) -> None:
        super().on_ready()
        self.recovery = self.timer.call_after(WARN_SECONDS, self.outage.end)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        if isinstance(exc, ResponseError) and not isinstance(exc, OutOfMemoryError):
            self._wait_after_refusal(exc)
            return
        super().on_connection_error_after_connected(exc)
        try:
            _check_and_make_room()
        except (ConfigError, Unavailable, RedisError) as error:
            log.event("server_unavailable", level=logging.WARNING, detail=error)

    def _wait_after_refusal(self, error: ResponseError) -> None:
        """Say once that Redis answers but refuses, and wait before the next try. Celery would try without a pause."""
        self.outage.begin(f"Redis: {error}")
        if self.recovery is not None:
            self.recovery.cancel()
        if self.connection is not None:
            with suppress(Exception):
                self.connection.collect()
        time.sleep(REFUSED_SECONDS)


def _claims(any_app: Celery) -> bool:
    return keys.FLUSH in any_app.amqp.queues.consume_from


class ClaimStep(bootsteps.StartStopStep):
    """Consumer step: on every tick of the timer, move waiting messages into batches."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.settings = settings.load()
        self.limits = Limits(
            size=self.settings.batch_size,
            waiting=parent.controller.concurrency,
            open=self.settings.open_batches,
        )
        self.redis: Redis | None = None
        self.timers: list[Any] = []
        self.claim_outage = log.Outage("claim_failed", "claim_recovered", CLAIM_ADVICE, WARN_SECONDS)
        self.sweep_outage = log.Outage("sweep_failed", "sweep_recovered", CLAIM_ADVICE, WARN_SECONDS)

    def include_if(self, parent: Any) -> bool:
        """Claim only if the worker consumes pointers. A worker for only the nightly or events queue does not."""
        return _claims(parent.app)

    def start(self, parent: Any) -> None:
        self.redis = redis_client.connect(self.settings.redis(), CLAIM_TIMEOUT_SECONDS)
        repeat = parent.timer.call_repeatedly
        self.timers = [
            repeat(self.settings.claim_interval_seconds, self._try, (self._claim, self.claim_outage)),
            repeat(
                min(SWEEP_SECONDS, self.settings.sweep_after_seconds / 2), self._try, (self._sweep, self.sweep_outage)
            ),
        ]

    def stop(self, parent: Any) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers = []
        if self.redis is not None:
            self.redis.close()

    shutdown = stop

    def _claim(self, client: Redis) -> None:
        while claim(client, self.limits) is not None:
            pass

    def _sweep(self, client: Redis) -> None:
        for batch_id in sweep(client, self.settings.sweep_after_seconds, self.limits.waiting):
            log.event("batch_overdue", level=logging.WARNING, batch_id=batch_id)

    def _try(self, step: Callable[[Any], None], outage: log.Outage) -> None:
        """Run a step. If Redis does not do it, a later run does what this one missed."""
        try:
            step(self.redis)
        except RedisError as error:
            outage.begin(f"Redis: {error}")
        else:
            outage.end()
