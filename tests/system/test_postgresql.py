"""PostgreSQL 15 and a role that is no superuser."""

import re

import pytest

from participation import ConfigError
from participation.store.schema.migrate import migrate
from tests.system.conftest import Owned

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
