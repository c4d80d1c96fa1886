"""A real Celery worker as a process of its own, and waiting for what it does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import Engine, text

from participation import keys, message
from participation.local.processes import kill, spawn, wait_until

SECONDS = 180.0
"""Longest wait for anything in a test: a program that starts in a moment takes half a minute on a loaded machine."""


def celery(*arguments: str, app: str = "participation.app") -> list[str]:
    return [sys.executable, "-m", "celery", "-A", app, *arguments]


@contextmanager
def running(
    log: Path, *arguments: str, app: str = "participation.app", sign: bytes = b" ready."
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker on the servers that the environment names, until the block ends.

    sign: text in its log after which the block begins.
    """
    command = celery("worker", "--concurrency=2", "--loglevel=INFO", *arguments, app=app)
    with log.open("ab") as output:
        begin = output.tell()
        process = spawn(command, signal.SIGTERM, stdout=output, stderr=output, env=os.environ)
    try:
        eventually(lambda: sign in log.read_bytes()[begin:] or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        if not wait_until(lambda: process.poll() is not None, SECONDS):
            kill(process)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after minutes."""
    assert wait_until(condition, SECONDS), "did not happen in time"


def at_rest(redis: Redis, engine: Engine, received: int) -> bool:
    """Whether so many list elements have been received, and nothing is left of them in Redis."""
    with engine.connect() as connection:
        total = connection.scalar(text("SELECT coalesce(sum(received), 0) FROM ingest_batches"))
    left = [*redis.scan_iter("participation.batch*"), *redis.scan_iter(f"{keys.EVENTS}*")]
    return total == received and not left


def queued(redis: Redis, task: str) -> list[Any]:
    """Return what the waiting messages say that are calls of this task, the oldest first."""
    raws: Any = redis.lrange(keys.EVENTS, 0, -1)
    return [call.argument for call in map(message.decode, reversed(raws)) if call.task == task]
