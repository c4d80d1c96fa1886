"""Servers that may be killed, a bench for each test, and the table of what the faults came to."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from participation.local.postgres import Postgres
from participation.store.schema.migrate import migrate
from tests.faults.report import Report
from tests.faults.rig import Debuggable, Rig, Row, Servers, administer, table

SEED = os.environ.get("SEED") or "1"
"""Seed of what the bots send and of when faults happen."""

_ROWS = pytest.StashKey[list[Row]]()
_numbers = count(1)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("faults")
    with Postgres(folder / "postgres") as postgres, Debuggable(folder / "valkey") as valkey:
        yield Servers(postgres, valkey)


@pytest.fixture
def rig(servers: Servers, tmp_path: Path) -> Iterator[Rig]:
    name = f"faults_{next(_numbers)}"
    url = servers.postgres.url.rsplit("/", 1)[0] + f"/{name}"
    administer(servers, f"CREATE DATABASE {name}")
    migrate(url)
    bench = Rig(servers, url, tmp_path, SEED)
    with bench.redis() as redis:
        redis.flushall()
    try:
        yield bench
    finally:
        bench.close()
        administer(servers, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def holds(rig: Rig, request: pytest.FixtureRequest) -> Callable[..., Report]:
    """The end of every test: the checker finds nothing, and the row goes into the table."""

    def judge(name: str, *, compute: bool = True) -> Report:
        report = rig.verdict(compute=compute)
        assert not report.broken, f"SEED={SEED}\n{report}\n{rig.log.read_text()[-4000:]}"
        assert report.accepted > 0
        rows = request.config.stash.setdefault(_ROWS, [])
        rows.append(Row(name, rig.faults, report, rig.recoveries()))
        return report

    return judge


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if rows:
        terminalreporter.section(f"faults, SEED={SEED}")
        for line in table(rows):
            terminalreporter.write_line(line)
