"""PostgreSQL 15 and a role that is no superuser."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from participation import ConfigError
from participation.store.database import connect
from participation.store.schema.migrate import migrate
from tests.documentation import ROOT
from tests.rows import event, put
from tests.system.conftest import Owned
from tests.system.programs import program
from tests.system.servers import DebianPostgres

CURES = re.compile(
    "as a superuser, run `(ALTER DATABASE .*)`, or in this database `(GRANT CREATE ON SCHEMA public .*)`"
)


def test_owner__needs_no_other_right(owned: Owned) -> None:
    assert migrate(owned.url)


@pytest.mark.parametrize("cure", [1, 2])
def test_role_that_may_not_create_tables__is_told_what_to_run(owned: Owned, cure: int) -> None:
    """Each of the two statements in the error is enough."""
    owned.server.psql(f"ALTER DATABASE {owned.name} OWNER TO postgres")
    with pytest.raises(ConfigError, match="permission denied for schema public") as refused:
        migrate(owned.url)
    found = CURES.search(str(refused.value))
    assert found
    owned.server.psql(found[cure], owned.name)
    assert migrate(owned.url)


def test_role_that_does_not_own_the_tables__is_told_whose_they_are(owned: Owned) -> None:
    """A second role, which may create tables, cannot read those of the first."""
    migrate(owned.url)
    owned.server.psql(f"CREATE ROLE second LOGIN PASSWORD 's3cret'; GRANT CREATE ON DATABASE {owned.name} TO second")
    try:
        with pytest.raises(ConfigError, match=r"permission denied for table .*use the role that owns the tables"):
            migrate(owned.server.url("second", "s3cret", owned.name))
    finally:
        owned.server.psql("DROP OWNED BY second; DROP ROLE second", owned.name)


@pytest.fixture
def composed(folder: Path) -> Iterator[DebianPostgres]:
    """A server that ran the file of the Compose set-up, as its image does when the volume is new."""
    with DebianPostgres(folder / "composed") as server:
        given = (ROOT / "deploy" / "postgres" / "participation.sql").read_text()
        server.psql(given, POSTGRES_PASSWORD="it's")
        yield server


def test_compose__role_owns_its_database_and_the_superuser_has_no_password(composed: DebianPostgres) -> None:
    """A backup of an installation whose role was a superuser is restored as the page says."""
    url = composed.url("participation", "it%27s", "participation")
    assert composed.psql("SELECT rolsuper FROM pg_roles WHERE rolname = 'participation'") == "f"
    assert composed.psql("SELECT count(*) FROM pg_authid WHERE rolname = 'postgres' AND rolpassword IS NULL") == "1"
    composed.psql("CREATE ROLE formerly SUPERUSER LOGIN PASSWORD 's3cret'; CREATE DATABASE formerly OWNER formerly")
    former = composed.url("formerly", "s3cret", "formerly")
    migrate(former)
    store(former)
    dump = subprocess.run([program("pg_dump"), "--format=custom", former], capture_output=True, check=True).stdout
    restore = [program("pg_restore"), f"--dbname={url}", "--no-owner", "--exit-on-error"]
    subprocess.run(restore, input=dump, env=os.environ, check=True)
    assert migrate(url) == []
    store(url, object_id="2")
    engine = connect(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM participation_events")) == 2
    engine.dispose()


def store(url: str, **values: str) -> None:
    engine = connect(url)
    counts = put(engine, [event(**values)])
    assert counts
    assert counts.stored == 1
    engine.dispose()
