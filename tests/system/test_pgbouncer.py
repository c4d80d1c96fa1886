"""Everything works through a PgBouncer that shares connections, and one that cannot work is named as the cause."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from participation import track_event
from participation.ingest.claim import open_batches
from participation.local.valkey import Valkey
from participation.store.database import connect, transaction
from tests.commands import run
from tests.rows import event
from tests.system.conftest import Owned
from tests.system.servers import PgBouncer
from tests.worker import SECONDS, at_rest, celery, eventually, running

STATEMENT = "pooler .*transaction blocks not allowed in statement pooling mode.*pool_mode to transaction or session"
OPTIONS = "pooler .*unsupported startup parameter: options.*remove `options` from DATABASE_URL and PGOPTIONS"
TIMEOUTS = ("lock_timeout", "idle_in_transaction_session_timeout", "timezone")

_numbers = count(1)

Pool = Callable[..., str]


@pytest.fixture
def pool(owned: Owned, folder: Path) -> Iterator[Pool]:
    """Start a PgBouncer with the settings that are given, and return the URL of the database through it."""
    with ExitStack() as stack:
        yield lambda **settings: through(stack.enter_context(pooler(owned, folder, **settings)), owned)


def pooler(owned: Owned, folder: Path, **settings: str) -> PgBouncer:
    return PgBouncer(folder / f"pgbouncer{next(_numbers)}", owned.server, {owned.name: owned.password}, **settings)


def through(pooler: PgBouncer, owned: Owned) -> str:
    """Return the URL of the database through the pooler."""
    return owned.url.replace(f":{owned.server.port}/", f":{pooler.port}/")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, redis: Redis, valkey: Valkey) -> Callable[[str], None]:
    """Let this process, and those that it starts, use this database."""
    monkeypatch.setenv("REDIS_URL", valkey.url)
    return lambda url: monkeypatch.setenv("DATABASE_URL", url)


def shown(url: str) -> list[str]:
    """Return the time-outs and the time zone of the second transaction of an engine."""
    engine = connect(url, lock_timeout_seconds=9, idle_timeout_seconds=27)
    try:
        for _ in range(2):
            with transaction(engine) as connection:
                found = [str(connection.scalar(text(f"SHOW {name}"))) for name in TIMEOUTS]
        return found
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    "settings",
    [
        {"pool_mode": "transaction", "default_pool_size": "1"},
        {"pool_mode": "session", "default_pool_size": "9"},
    ],
    ids=lambda settings: settings["pool_mode"],
)
def test_route__works_through_a_pooler(
    pool: Pool, use: Callable[[str], None], redis: Redis, tmp_path: Path, settings: dict[str, str]
) -> None:
    """A migration, a worker and the computation of a day work; in transaction mode all share one connection."""
    url = pool(**settings)
    use(url)
    run("migrate")
    engine = connect(url)
    with running(tmp_path / "worker.log", "--concurrency=2"):
        for number in range(3):
            track_event.delay(event(object_id=str(number)))
            eventually(lambda received=number + 1: at_rest(redis, engine, received))  # type: ignore[misc]
    run("highlights", "compute", "--community", "c", "--date", "2026-03-10")
    with transaction(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM participation_events")) == 3
        assert connection.scalar(text("SELECT sum(message_count) FROM member_daily_highlights")) == 3
    engine.dispose()


@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
def test_timeouts__hold_in_each_transaction(pool: Pool, pool_mode: str) -> None:
    assert shown(pool(pool_mode=pool_mode)) == ["9s", "27s", "UTC"]


def test_timeouts__hold_where_the_pooler_ignores_options(pool: Pool) -> None:
    """The operator's own time-out holds too, although PostgreSQL never hears of the option."""
    url = pool(pool_mode="transaction", ignore_startup_parameters="options")
    assert shown(f"{url}?options=-c%20lock-timeout%3D7s%20-c%20search_path%3Dpublic") == ["7s", "27s", "UTC"]
    assert shown(f"{url}?options=--idle_in_transaction_session_timeout%3D8%5C%20s") == ["9s", "8s", "UTC"]


def test_timeouts__of_another_client_stay_its_own(pool: Pool) -> None:
    """Two clients that share one connection to PostgreSQL do not change each other's limits."""
    url = pool(pool_mode="transaction", default_pool_size="1")
    assert shown(url) == ["9s", "27s", "UTC"]
    engine = connect(url, lock_timeout_seconds=4)
    with transaction(engine) as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "4s"
    engine.dispose()
    assert shown(url) == ["9s", "27s", "UTC"]


def test_statement_mode__is_named_by_every_command(pool: Pool, use: Callable[[str], None]) -> None:
    """PgBouncer says why and hangs up; the driver alone would report a lost connection."""
    use(pool(pool_mode="statement"))
    for command in (["migrate"], ["status"]):
        said = run(*command, code=2).stderr.decode()
        assert re.fullmatch(f"error: .*{STATEMENT}\n", said), said


def test_statement_mode__ends_a_worker_that_starts(pool: Pool, use: Callable[[str], None]) -> None:
    use(pool(pool_mode="statement"))
    ended = subprocess.run(celery("worker"), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 2
    assert re.search(f"^error: .*{STATEMENT}$", ended.stderr, re.MULTILINE), ended.stderr


def test_statement_mode__ends_a_worker_that_runs(
    owned: Owned, folder: Path, use: Callable[[str], None], redis: Redis, tmp_path: Path
) -> None:
    """A worker does not retry for ever what can never work; the event waits in Redis."""
    log = tmp_path / "worker.log"
    with pooler(owned, folder, pool_mode="transaction") as changed:
        use(through(changed, owned))
        run("migrate")
        with running(log) as worker:
            changed.reload(pool_mode="statement")
            track_event.delay(event())
            eventually(lambda: worker.poll() is not None)
    assert worker.returncode == 1
    assert re.search(f"worker_halted .*{STATEMENT}", log.read_text())
    assert open_batches(redis)


def test_options__are_named_where_the_pooler_refuses_them(
    pool: Pool, use: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = pool(pool_mode="transaction")
    use(f"{url}?options=-csearch_path%3Dpublic")
    said = run("migrate", code=2).stderr.decode()
    assert re.fullmatch(f"error: .*{OPTIONS}\n", said), said
    use(url)
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=8s")
    said = run("migrate", code=2).stderr.decode()
    assert re.fullmatch(f"error: .*{OPTIONS}\n", said), said
