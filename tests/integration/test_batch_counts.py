"""What a batch came to, by community and by import: both add up to the whole."""

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Engine, text

from participation import message
from participation.accounts import Account
from participation.ingest.decode import decode_batch
from participation.store.communities.settings import create_missing
from participation.store.database import transaction
from participation.store.ingest.batches import BatchResult, Counts, store_batch
from participation.store.ingest.events import last_times
from participation.store.members import requests
from participation.store.schema import partitions
from tests.rows import event, put


def stored(engine: Engine, elements: list[bytes]) -> BatchResult:
    content = decode_batch(elements)
    partitions.ensure(engine, {item.row.occurred_at[:7] for item in content.accepted})
    create_missing(engine, last_times(content.accepted))
    with transaction(engine) as connection:
        result = store_batch(connection, uuid4().hex, datetime.now(UTC), content)
    assert result is not None
    return result


def test_store_batch__counts_each_community(engine: Engine) -> None:
    """Stored, duplicate, dead and discarded events count for their community, a letter without one for None."""
    requests.opt_out(engine, Account("irc", "bob"))
    put(engine, [event(object_id="1")])
    import_id = uuid4()
    result = stored(
        engine,
        [
            message.encode(event(object_id="1")),
            message.encode(event(object_id="2"), import_id),
            message.encode(event(community_id="d", object_id="3")),
            message.encode(event(community_id="d", member_id="bob", object_id="4"), import_id),
            message.encode(event(community_id="d", member_id=7), import_id),
            b"no message",
        ],
    )
    assert result.by_community == {
        "c": Counts(received=2, stored=1, duplicates=1),
        "d": Counts(received=2, stored=1, dead=1, opted_out=1),
        None: Counts(received=1, dead=1),
    }
    assert result.total == sum(result.by_community.values(), start=Counts()) == Counts(5, 2, 1, 2, 1)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT import_id, stored, duplicates, dead, opted_out FROM import_counts"))
        assert [tuple(row) for row in rows] == [(import_id, 1, 0, 1, 1)]


def test_store_batch__counts_each_community_of_new_events(engine: Engine) -> None:
    """The fast way, for batches without duplicates, counts the same."""
    elements = [message.encode(event(community_id=name, object_id=str(n))) for n, name in enumerate("ccd")]
    result = stored(engine, elements)
    assert result.by_community == {"c": Counts(2, 2), "d": Counts(1, 1)}
