"""The nightly computation in PostgreSQL against the slow, obvious one of `tests.reference`."""

from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, Engine

from participation.accounts import Account
from participation.event import decode
from participation.highlights.compute import compute_day
from participation.store.communities.settings import configure
from participation.store.database import transaction
from participation.store.members import links
from tests import reference, rows, strategies
from tests.conftest import empty


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(drawn=strategies.communities())
def test_compute_day__equals_the_slow_obvious_computation(engine: Engine, drawn: strategies.Community) -> None:
    """Whatever happened, in whatever zone and whoever is whom, the rows are those of the reference."""
    try:
        rows.put(engine, drawn.events)
        with transaction(engine) as connection:
            _arrange(connection, drawn)
            compute_day(connection, strategies.COMMUNITY, drawn.day)
            computed = rows.highlights(connection, strategies.COMMUNITY, drawn.day)
        stored = [decode(event).model_dump() for event in drawn.events]
        expected = reference.highlights(stored, strategies.COMMUNITY, drawn.day, drawn.timezone, drawn.persons)
        assert computed == expected
    finally:
        empty(engine)


def _arrange(connection: Connection, drawn: strategies.Community) -> None:
    configure(connection, strategies.COMMUNITY, drawn.timezone, None)
    for account, person in drawn.persons.items():
        links.link(connection, person, [Account(*account)])
