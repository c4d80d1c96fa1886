"""The alternatives with only Celery, and with celery-batches. They run in the environment of `requirements-stock.lock`.

Both take the same event and write the same row as participation. Neither reports an event that cannot be stored, marks
days, or counts events.
"""

import os
from functools import cache
from typing import Any

import psycopg2
from celery import Celery
from celery_batches import Batches  # type: ignore[import-not-found]
from psycopg2.extras import execute_values

from benchmarks.contenders.rows import COLUMNS, row

app = Celery("stock", broker=os.environ["REDIS_URL"])
app.conf.task_ignore_result = True
# celery-batches advises: "zero, or some value where the final multiplied value is higher than flush_every". For many
# short tasks, Celery's guide to optimizing advises 64 or 128.
app.conf.worker_prefetch_multiplier = int(os.environ["PREFETCH"])

_INSERT = f"INSERT INTO participation_events ({COLUMNS}) VALUES {{}} ON CONFLICT DO NOTHING"
_ONE = _INSERT.format(f"({', '.join(['%s'] * len(COLUMNS.split(', ')))})")
_MANY = _INSERT.format("%s")


@cache
def _connection() -> Any:
    """Return the connection of this process. It is created on first use."""
    return psycopg2.connect(os.environ["DATABASE_URL"])


@app.task(name="stock.single")
def single(event: dict[str, Any]) -> None:
    with _connection() as connection, connection.cursor() as cursor:
        cursor.execute(_ONE, row(event))


@app.task(name="stock.batches", base=Batches, flush_every=1000, flush_interval=10)
def batches(requests: list[Any]) -> None:
    with _connection() as connection, connection.cursor() as cursor:
        execute_values(cursor, _MANY, [row(request.args[0]) for request in requests], page_size=1000)
