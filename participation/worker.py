"""What an ordinary Celery worker does besides its tasks: it claims events and looks after open batches."""

import gc
import logging
import sys
import time
from typing import Any, cast

from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.platforms import EX_FAILURE
from celery.signals import worker_init, worker_process_init
from celery.worker import consumer
from celery.worker.control import control_command
from redis import Redis, RedisError
from sqlalchemy import Engine

from participation import broker, keys, settings
from participation.app import app
from participation.errors import ConfigError, Unavailable
from participation.ingest.claim import Limits, claim, open_batches, sweep
from participation.ingest.flush import flush
from participation.publish import bulk
from participation.store import migrate
from participation.store.database import connect

logger = logging.getLogger(__name__)

CLAIM_TIMEOUT_SECONDS = 2.0
"""Longest wait for Redis in one look at the queue: the worker's event loop stands still meanwhile."""

SWEEP_SECONDS = 5.0
"""How often, at least, a worker looks for batches whose pointer was lost."""

FULL = 0.9
"""Share of Redis' memory limit from which on a worker that starts makes room first."""

YOUNG_OBJECTS = 100_000
"""New objects after which a worker process looks for cycles among them: far more than Python's default."""

COMPLAIN_SECONDS = 10.0
"""Least time between two log lines about the same trouble."""


@worker_init.connect
def prepare(sender: Any, **_: object) -> None:
    """Ready a worker that is about to start: check its settings and its database, and add the step that claims.

    Ends the process with code 2 when the settings or the schema are wrong. A server that is away is waited for.
    """
    if sender.app is not app:
        return
    app.steps["consumer"].add(ClaimStep)
    # Workers need not know of each other: what they share stands in Redis and PostgreSQL.
    sender.options.update(without_gossip=True, without_mingle=True)
    try:
        _check_and_make_room()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - Celery's logging is not set up yet
        sys.exit(2)
    except (Unavailable, RedisError) as error:
        logger.warning("server_unavailable detail=%s", error)


@worker_process_init.connect
def settle(**_: object) -> None:
    """Ready a worker process: what it has inherited stays, and batches are thousands of objects without a cycle."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def _check_and_make_room() -> None:
    configured = settings.load()
    engine = connect(configured.database(), configured.lock_timeout_seconds, 3 * configured.lock_timeout_seconds)
    try:
        with broker.connect(configured.redis(), CLAIM_TIMEOUT_SECONDS) as client:
            migrate.check(engine)
            _make_room(client, engine, configured.batch_size)
    finally:
        engine.dispose()


def _make_room(client: Redis, engine: Engine, size: int) -> None:
    """While Redis is full Celery cannot start, for it writes at its start: first store what lies there.

    That and no more: bots may go on sending as fast as this makes room.
    """
    limits = Limits(size=size, waiting=sys.maxsize, open=sys.maxsize)
    batches = bulk.waiting(client) // size + 1
    for batch_id in open_batches(client) if _is_full(client) else []:
        flush(client, engine, batch_id)
    while batches and _is_full(client) and (claimed := claim(client, limits)) is not None:
        flush(client, engine, claimed)
        batches -= 1


def _is_full(client: Redis) -> bool:
    memory = cast("dict[str, int]", client.info("memory"))
    return 0 < memory["maxmemory"] * FULL <= memory["used_memory"]


@control_command(name=keys.HALT, args=[("reason", str)])
def halt(_state: Any, reason: str) -> None:
    """End the worker, after the batches that it has in hand, with exit code 1."""
    logger.critical(
        "worker_halted reason=%r: nothing is lost, the batch stays in Redis and is tried again by every worker; "
        "put the cause right and start the worker again",
        reason,
    )
    raise WorkerShutdown(EX_FAILURE)


class Consumer(consumer.Consumer):
    """Celery's consumer, which on its way back to a Redis that is full makes room before it declares its queues."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        super().on_connection_error_after_connected(exc)
        try:
            _check_and_make_room()
        except (ConfigError, Unavailable, RedisError) as error:
            logger.warning("server_unavailable detail=%s", error)


class ClaimStep(bootsteps.StartStopStep):
    """Consumer step: on every tick of the timer, move what waits into batches."""

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
        self.complained_at = 0.0

    def include_if(self, parent: Any) -> bool:
        """Claim only where pointers are consumed: not in a worker for the nightly queue or the raw events."""
        return keys.FLUSH in parent.app.amqp.queues.consume_from

    def start(self, parent: Any) -> None:
        self.redis = broker.connect(self.settings.redis(), CLAIM_TIMEOUT_SECONDS)
        repeat = parent.timer.call_repeatedly
        self.timers = [
            repeat(self.settings.claim_interval_seconds, self._guarded, (self._claim,)),
            repeat(min(SWEEP_SECONDS, self.settings.sweep_after_seconds / 2), self._guarded, (self._sweep,)),
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
            logger.warning("batch_overdue batch_id=%s", batch_id)

    def _guarded(self, look: Any) -> None:
        """Look at Redis. When it is away, say so now and then: whatever was missed is found by a later look."""
        try:
            look(self.redis)
        except RedisError as error:
            if time.monotonic() - self.complained_at > COMPLAIN_SECONDS:
                self.complained_at = time.monotonic()
                logger.warning("claim_failed detail=%s", error)
