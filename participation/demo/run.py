"""`participation demo`: the whole system on real servers, with a simulated community. Removes everything at the end."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final, TextIO

import orjson
from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from participation import keys, message, redis_client
from participation.accounts import Account
from participation.demo import names, people, simulation
from participation.errors import Unavailable
from participation.highlights.compute import compute_day, list_due_days
from participation.highlights.digest import read_digest
from participation.highlights.renderers.text import render_text
from participation.highlights.summary import summarize
from participation.imports.sender import Import
from participation.local.postgres import Postgres
from participation.local.processes import kill, spawn, wait_until
from participation.local.valkey import Valkey
from participation.notices.names import LONGEST
from participation.operations.import_waiting import wait_until_stored
from participation.publish.sender import Sender
from participation.store.communities import settings as communities
from participation.store.database import connect, transaction
from participation.store.days import digests
from participation.store.ingest.import_counts import ImportCounts
from participation.store.members import links
from participation.store.schema import migrate

START_SECONDS: Final = 120.0
"""Longest wait for the worker."""

STOP_SECONDS: Final = 30.0
REDIS_TIMEOUT_SECONDS: Final = 30.0


def run_demo(out: TextIO) -> None:
    """Run the demonstration. Write its progress to standard error and its result to `out`.

    Uses servers of its own, and ignores the settings. Raises `ConfigError` or `Unavailable`.
    """
    console = Console(stderr=True)
    console.print("[bold]participation demo[/]: all data is simulated, and all of it is removed at the end.")
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        console.print("starting PostgreSQL, Valkey and a Celery worker …")
        postgres = stack.enter_context(Postgres(folder / "postgres"))
        valkey = stack.enter_context(Valkey(folder / "valkey"))
        migrate.migrate(postgres.url)
        stack.enter_context(_worker(folder / "worker.log", postgres.url, valkey.url))
        engine = connect(postgres.url)
        stack.callback(engine.dispose)
        redis = stack.enter_context(redis_client.connect(valkey.url, REDIS_TIMEOUT_SECONDS))
        bars = stack.enter_context(_progress(console))
        _create_community(engine)
        ends = (datetime.now(UTC) - timedelta(days=2)).date()
        _send_names(redis, ends)
        accepted, counts = _send(redis, engine, bars, ends)
        _compute(engine, bars)
        bars.stop()
        _print_best_day(engine, out)
    print(
        f"\nsimulated events: accepted {accepted:,} · stored {counts.stored:,} · "
        f"duplicates {counts.duplicates:,} · dead {counts.dead:,}",
        file=out,
    )


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="participation-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _worker(log: Path, database_url: str, redis_url: str) -> Iterator[None]:
    """Run an ordinary Celery worker that writes its log into a file."""
    command = [sys.executable, "-m", "celery", "-A", "participation.app", "worker", "--concurrency=2"]
    environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with log.open("wb") as output:
        process = spawn([*command, "--loglevel=INFO"], signal.SIGTERM, stdout=output, stderr=output, env=environment)
    try:
        ready = wait_until(lambda: b" ready." in log.read_bytes() or process.poll() is not None, START_SECONDS)
        if not ready or process.poll() is not None:
            said = " / ".join(log.read_text(errors="replace").splitlines()[-3:])
            raise Unavailable(f"the worker did not start; its log ends: {said}")
        yield
    finally:
        process.terminate()
        if not wait_until(lambda: process.poll() is not None, STOP_SECONDS):
            kill(process)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _create_community(engine: Engine) -> None:
    with transaction(engine) as connection:
        communities.configure(connection, simulation.COMMUNITY_ID, simulation.TIMEZONE, simulation.NAME)
        for person in people.people():
            accounts = [Account(account.platform, account.account_id) for account in person.accounts]
            links.link(connection, person.person_id, accounts)


def _send_names(redis: Redis, ends: date) -> None:
    """Send the names before the events, and wait until the worker has stored them."""
    begins, last = (datetime.combine(day, time(), UTC) for day in (ends - timedelta(days=simulation.DAYS), ends))
    told = list(names.names(begins, last))
    notices = [orjson.dumps(told[start : start + LONGEST]) for start in range(0, len(told), LONGEST)]
    Sender(redis).send([message.encode_call(keys.NOTE_NAMES, notice) for notice in notices])
    if not wait_until(lambda: not redis.exists(keys.EVENTS, keys.BATCHES), START_SECONDS):
        raise Unavailable("the worker did not store the names")


def _send(redis: Redis, engine: Engine, bars: Progress, ends: date) -> tuple[int, ImportCounts]:
    """Send the events and wait until the worker has stored them; return how many were accepted, and their counts."""
    events = list(simulation.simulate(ends=ends))
    sending = bars.add_task("track_event messages sent", total=len(events))
    storing = bars.add_task("stored by the worker", total=len(events))

    def stored(counts: ImportCounts, _: float) -> None:
        bars.update(storing, completed=counts.done)

    target = Import(redis, lambda state: bars.update(sending, completed=state.accepted))
    for event in events:
        target.add(event)
    target.finish()
    counts = wait_until_stored(engine, target.import_id, target.accepted, stored)
    stored(counts, 0.0)
    return target.accepted, counts


def _compute(engine: Engine, bars: Progress) -> None:
    for day in bars.track(list_due_days(engine), description="local days computed"):
        with transaction(engine) as connection:
            compute_day(connection, *day)


def _print_best_day(engine: Engine, out: TextIO) -> None:
    with transaction(engine) as connection:
        day = digests.best_day(connection, simulation.COMMUNITY_ID)
        if day is None:
            raise Unavailable("no day was computed: the simulated events are too old")
        text = render_text(summarize(read_digest(connection, simulation.COMMUNITY_ID, day)))
    print(f"\nThe best day of a simulated community:\n\n{text}", file=out)
