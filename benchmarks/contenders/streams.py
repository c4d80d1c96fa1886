"""The alternative without Celery: a consumer group of Redis Streams that copies into the table, as an expert writes it.

It runs in the environment of `requirements-stock.lock`. Each process reads up to 5,000 entries, copies them into a
temporary table, inserts them from there in the order of the key, commits, and then acknowledges. So entries arrive at
least once, and the key removes duplicates. Compared with participation, these are missing: everything that `rows.py`
lists, entries that another process left (XAUTOCLAIM), dead letters (one bad entry stops it), marks of days, counts, new
partitions and communities, retries, time limits, trimming the stream, shutdown, and monitoring.
"""

import csv
import io
import os
import sys
import time
from typing import Any

import orjson
import psycopg2
from redis import Redis
from redis.exceptions import ResponseError

from benchmarks.contenders.rows import COLUMNS, row

STREAM, GROUP, COUNT = "streams.events", "store", 5000

INCOMING = "CREATE TEMPORARY TABLE incoming (LIKE participation_events INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
COPY = f"COPY incoming ({COLUMNS}) FROM STDIN (FORMAT csv)"
INSERT = f"""
INSERT INTO participation_events ({COLUMNS})
SELECT {COLUMNS} FROM incoming ORDER BY community_id, occurred_at, event_id
ON CONFLICT DO NOTHING
"""


def consume(redis: Redis, connection: "psycopg2.extensions.connection", consumer: str) -> None:
    """Store all entries that arrive, without end."""
    while True:
        try:
            read: Any = redis.xreadgroup(GROUP, consumer, {STREAM: ">"}, count=COUNT, block=1000)
        except ResponseError:  # the bench has not created the stream yet
            time.sleep(0.005)
            continue
        for _, entries in read:
            buffer = io.StringIO(newline="")
            csv.writer(buffer).writerows(row(orjson.loads(entry[b"event"])) for _, entry in entries)
            buffer.seek(0)
            with connection, connection.cursor() as cursor:
                cursor.copy_expert(COPY, buffer)
                cursor.execute(INSERT)
            redis.xack(STREAM, GROUP, *(entry_id for entry_id, _ in entries))


def main() -> None:
    redis = Redis.from_url(os.environ["REDIS_URL"])
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        cursor.execute(INCOMING)
    redis.ping()
    print("ready", flush=True)
    consume(redis, connection, sys.argv[1])


if __name__ == "__main__":
    main()
