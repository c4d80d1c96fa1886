"""Connections to PostgreSQL: what the operator sets is kept, and what a transaction needs holds in every one."""

import pytest
from sqlalchemy import Engine, make_url, text

from participation import ConfigError, Unavailable
from participation.store.database import connect, transaction
from tests.conftest import SESSION_ZONE
from tests.rows import event, put

SHOWN = (
    "application_name",
    "search_path",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "tcp_keepalives_idle",
    "statement_timeout",
)


def shown(url: str, *names: str) -> list[str]:
    engine = connect(url, lock_timeout_seconds=9, idle_timeout_seconds=27)
    try:
        with transaction(engine) as connection:
            return [str(connection.scalar(text(f"SHOW {name}"))) for name in names]
    finally:
        engine.dispose()


def test_transaction__has_its_limits(shared_url: str) -> None:
    """Locks and idle transactions are limited, a lost client is noticed, and the zone is UTC."""
    assert shown(shared_url, *SHOWN, "timezone") == ["participation", '"$user", public', "9s", "27s", "30", "0", "UTC"]


def test_options_in_the_url__are_kept(shared_url: str) -> None:
    """What an operator sets in DATABASE_URL holds, also where we have a value of our own."""
    options = "-csearch_path=extra,public -clock_timeout=7s -c statement_timeout=8s -c timezone=Asia/Tokyo"
    url = make_url(shared_url).update_query_dict({"options": options, "application_name": "mine"})
    found = shown(url.render_as_string(hide_password=False), *SHOWN, "timezone")
    assert found == ["mine", "extra,public", "7s", "27s", "30", "8s", "UTC"]


def test_options_in_the_environment__are_kept(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq's variables work as in any other program."""
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=6s")
    monkeypatch.setenv("PGAPPNAME", "mine")
    assert shown(shared_url, "application_name", "lock_timeout") == ["mine", "6s"]


def test_wrong_option__is_named(shared_url: str) -> None:
    """A misspelt option is an error of the URL, and not a server that does not answer."""
    with pytest.raises(ConfigError, match=r"DATABASE_URL: .*aplication_name"):
        shown(f"{shared_url}?aplication_name=x", "timezone")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"password": "wrong"}, ConfigError, "refuses the connection .*authentication failed.*correct DATABASE_URL"),
        ({"database": "nowhere"}, ConfigError, "refuses the connection .*does not exist.*correct DATABASE_URL"),
        ({"port": 1}, Unavailable, "is it running"),
    ],
)
def test_refused_connection__names_its_cause(
    shared_url: str, change: dict[str, object], error: type[Exception], words: str
) -> None:
    """Only a server that does not answer is asked whether it runs."""
    url = make_url(shared_url).set(**change).render_as_string(hide_password=False)  # type: ignore[arg-type]
    with pytest.raises(error, match=words):
        shown(url, "timezone")


def test_limits__hold_in_every_transaction_of_a_connection(shared_url: str) -> None:
    """A connection of the pool that is used again is as limited as a new one."""
    engine = connect(shared_url, lock_timeout_seconds=9)
    for _ in range(2):
        with transaction(engine) as connection:
            assert connection.scalar(text("SHOW lock_timeout")) == "9s"
    engine.dispose()


def test_session_zone__of_these_tests_is_not_ours(engine: Engine, shared_url: str) -> None:
    """A session that sets nothing is in the zone with which the tests run, and what we store and read is not."""
    put(engine, [event()])
    plain = connect(shared_url)
    with plain.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("COMMIT; RESET timezone")
        assert connection.scalar(text("SHOW timezone")) == SESSION_ZONE
    plain.dispose()
    with transaction(engine) as connection:
        assert (
            str(connection.scalar(text("SELECT occurred_at FROM participation_events"))) == "2026-03-10 12:00:00+00:00"
        )
