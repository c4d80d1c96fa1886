"""The Celery app: `celery -A participation.app worker`, `beat` and `flower` work as with any other app."""

import os
from typing import Any, Final

from celery import Celery
from kombu import Connection

from participation import flower, redis_client, settings

OTHER_BROKERS: Final = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
"""Variables by which Celery finds its broker. Celery's command line puts its option `--broker` into the first one."""


class _App(Celery):
    """A Celery app whose broker is always `REDIS_URL`.

    Celery itself would prefer `CELERY_BROKER_URL`, which may belong to another program in the same environment, and
    `--broker`. Then events would wait in a Redis from which no worker takes them. In the same way, no results are
    stored, whatever `CELERY_RESULT_BACKEND` says.
    """

    backend_cls = "disabled"

    def connection_for_read(self, url: str | None = None, **options: Any) -> Connection:
        return super().connection_for_read(**_broker(url, options))

    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        return super().connection_for_write(**_broker(url, options))

    def connection(self, hostname: str | None = None, *_: Any, **options: Any) -> Connection:
        return self.connection_for_write(hostname, **options)

    broker_connection = connection


def _broker(url: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a connection to `url`. None: to the Redis of the settings."""
    server = redis_client.parse(url or settings.load().redis())
    transport = {"health_check_interval": server.health_check_seconds} if server.health_check_seconds else {}
    given = options.get("transport_options") or {}
    return {**options, "url": server.url, "ssl": server.tls_options, "transport_options": {**transport, **given}}


# Without `loader` and `fixups`, Celery would read the environment. If this were the current app, tasks of the program
# that imports us would go to our queues.
app = _App(
    "participation",
    loader="app",
    fixups=[],
    set_as_current=False,
    include=["participation.tasks", "participation.worker"],
)
app.config_from_object("participation.celeryconfig")
flower.attach(app)


def ignored_brokers() -> list[str]:
    """Return the variables that name another broker than `REDIS_URL`."""
    return [name for name in OTHER_BROKERS if os.environ.get(name) not in (None, "", settings.load().redis_url)]
