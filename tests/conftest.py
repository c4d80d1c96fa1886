"""Real servers for the tests: one PostgreSQL and one Valkey a run, on free ports; a database for each test."""

import os
import signal
from collections.abc import Iterator
from itertools import count

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from participation.local.postgres import Postgres
from participation.local.valkey import Valkey
from participation.store.database import connect
from participation.store.schema.migrate import migrate
from participation.store.schema.tables import metadata

SESSION_ZONE = os.environ.get("TEST_SESSION_ZONE", "Asia/Kolkata")
"""The time zone of all sessions of PostgreSQL that set none. No result may depend on it."""

_numbers = count(1)


@pytest.fixture(scope="session", autouse=True)
def _patience() -> Iterator[None]:
    """Whoever sends an event waits for Redis as long as it may: on a loaded machine its default is soon over.

    Tests in which Redis is silent set how long it is waited for.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARTICIPATION_PUBLISH_TIMEOUT_SECONDS", "60")
        yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C ends what tests start: a shell has what it starts in the background, and all that starts, ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def administrator(postgres: Postgres) -> Iterator[Engine]:
    """A connection that makes and drops databases."""
    engine = connect(postgres.url).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"ALTER ROLE CURRENT_USER SET timezone = '{SESSION_ZONE}'"))
    yield engine
    engine.dispose()


@pytest.fixture
def empty_database(administrator: Engine, postgres: Postgres) -> Iterator[str]:
    """URL of a database in which nothing is."""
    yield from _database(administrator, postgres, "template1")


@pytest.fixture(scope="session")
def migrated(administrator: Engine, postgres: Postgres) -> str:
    """Name of a migrated database from which the others are copied."""
    with administrator.connect() as connection:
        connection.execute(text("CREATE DATABASE migrated"))
    migrate(_url(postgres, "migrated"))
    return "migrated"


@pytest.fixture
def database(administrator: Engine, postgres: Postgres, migrated: str) -> Iterator[str]:
    """URL of a migrated database of the test's own."""
    yield from _database(administrator, postgres, migrated)


@pytest.fixture(scope="session")
def shared_url(administrator: Engine, postgres: Postgres, migrated: str) -> str:
    """URL of the database of the tests that need no database for themselves."""
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE DATABASE shared TEMPLATE {migrated}"))
    return _url(postgres, "shared")


@pytest.fixture(scope="session")
def shared_engine(shared_url: str) -> Iterator[Engine]:
    engine = connect(shared_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """A migrated database without a row."""
    yield shared_engine
    empty(shared_engine)


def empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)}"))


@pytest.fixture
def redis(valkey: Valkey) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database: str, redis: Redis, valkey: Valkey) -> None:
    """This process, and those that it starts, find the test's servers in their settings."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", valkey.url)


def _database(administrator: Engine, postgres: Postgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield _url(postgres, name)
    with administrator.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _url(postgres: Postgres, name: str) -> str:
    return postgres.url.rsplit("/", 1)[0] + f"/{name}"
