"""Debian's PostgreSQL 15 for the tests of a run, with a database for each test that a role of its own owns."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.system.node_bots import install
from tests.system.programs import missing
from tests.system.servers import DebianPostgres, shared_folder

_numbers = count(1)


@dataclass(frozen=True)
class Owned:
    """A database, and the role that owns it: both have the same name."""

    name: str
    password: str
    server: DebianPostgres

    @property
    def url(self) -> str:
        return self.server.url(self.name, self.password, self.name)


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """Fail before anything else if a program is missing, instead of leaving tests out."""
    assert missing() == [], "run `make test-system`: it says what to install"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with shared_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def debian_postgres(folder: Path) -> Iterator[DebianPostgres]:
    with DebianPostgres(folder / "postgres") as server:
        yield server


@pytest.fixture
def owned(debian_postgres: DebianPostgres) -> Iterator[Owned]:
    """A database that is not migrated, and the plain role that owns it."""
    owned = Owned(f"owner_{next(_numbers)}", "s3cret", debian_postgres)
    debian_postgres.psql(f"""
        CREATE ROLE {owned.name} LOGIN PASSWORD '{owned.password}';
        CREATE DATABASE {owned.name} OWNER {owned.name};
    """)
    yield owned
    debian_postgres.psql(f"DROP DATABASE {owned.name} WITH (FORCE); DROP ROLE {owned.name}")


@pytest.fixture(scope="session")
def node_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example for Node.js, installed."""
    return install(tmp_path_factory.mktemp("node") / "bots")
