"""Claiming, flushing and storing, against real servers and without a worker in between."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from participation import keys, message
from participation.errors import BatchTaken, ConfigError, Unavailable
from participation.ingest.claim import Limits, claim, sweep
from participation.ingest.decode import decode_batch
from participation.ingest.flush import flush, store_elements
from participation.store.database import connect, transaction
from participation.store.days import due
from participation.store.ingest.batches import Counts, store_batch
from participation.store.ingest.content import Content
from participation.store.ingest.events import Accepted
from participation.store.ingest.notices import Notices
from participation.store.schema import partitions
from tests.rows import event, put
from tests.worker import SECONDS

LIMITS = Limits(size=5_000, waiting=4, open=10)


def queue(redis: Redis, *numbers: int, name: str = keys.EVENTS) -> None:
    redis.lpush(name, *[message.encode(event(object_id=str(number))) for number in numbers])


def events_of(redis: Redis, name: str) -> list[str]:
    """Object ids of the events in a list, the oldest first."""
    raw: Iterable[bytes] = redis.lrange(name, 0, -1)  # type: ignore[assignment]
    return [message.decode(each).argument["object_id"] for each in raw][::-1]  # type: ignore[index]


def marked(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return {str(day) for day in connection.scalars(text("SELECT highlight_date FROM due_days"))}


def test_claim__moves_all_that_waits_and_puts_the_batch_into_the_index(redis: Redis) -> None:
    """What waits becomes one batch in the same step in which the index learns of it."""
    queue(redis, 1, 2, 3)
    batch_id = claim(redis, LIMITS)
    assert batch_id is not None
    assert not redis.exists(keys.EVENTS)
    assert events_of(redis, keys.batch(batch_id)) == ["1", "2", "3"]
    assert redis.zrange(keys.BATCHES, 0, -1) == [batch_id.encode()]
    assert claim(redis, LIMITS) is None


def test_claim__takes_the_oldest_of_a_long_queue(redis: Redis) -> None:
    """A batch is no longer than its limit, and the events that wait longest are in it."""
    queue(redis, *range(2_600))
    batch_id = claim(redis, Limits(size=2_500, waiting=4, open=10))
    assert batch_id is not None
    assert sorted(map(int, events_of(redis, keys.batch(batch_id)))) == list(range(2_500))
    assert events_of(redis, keys.EVENTS) == [str(number) for number in range(2_500, 2_600)]


def test_claim__empties_the_lists_of_every_priority(redis: Redis) -> None:
    """Kombu puts messages with a priority into lists of their own; no event may be left there."""
    for number, name in enumerate(keys.EVENT_LISTS):
        queue(redis, number, name=name)
    batch_id = claim(redis, LIMITS)
    assert batch_id is not None
    assert sorted(events_of(redis, keys.batch(batch_id))) == [str(n) for n in range(10)]
    assert not redis.exists(*keys.EVENT_LISTS)


def test_claim__asked_again_because_the_answer_was_lost_keeps_what_it_claimed(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeats a script whose answer it did not get: events that came meanwhile do not replace the batch."""
    monkeypatch.setattr("participation.ingest.claim.uuid4", lambda: UUID(int=1))
    queue(redis, 1)
    batch_id = claim(redis, LIMITS)
    queue(redis, 2)
    assert claim(redis, LIMITS) == batch_id
    assert events_of(redis, keys.batch(str(batch_id))) == ["1"]
    assert events_of(redis, keys.EVENTS) == ["2"]


def test_claim__leaves_events_where_they_are_when_enough_batches_wait(redis: Redis) -> None:
    """Neither pointers nor open batches pile up while the workers are behind."""
    queue(redis, 1)
    redis.lpush(keys.FLUSH, *"abcd")
    assert claim(redis, LIMITS) is None
    redis.delete(keys.FLUSH)
    redis.zadd(keys.BATCHES, {str(number): 0 for number in range(10)})
    assert claim(redis, LIMITS) is None
    assert redis.llen(keys.EVENTS) == 1


def test_claim__goes_on_while_redis_is_full(redis: Redis) -> None:
    """A Redis that refuses every write still lets its events be claimed."""
    queue(redis, *range(1_500))
    redis.config_set("maxmemory", 1)
    try:
        assert claim(redis, Limits(size=1_200, waiting=4, open=10)) is not None
        assert redis.llen(keys.EVENTS) == 300
    finally:
        redis.config_set("maxmemory", 0)


def test_sweep__publishes_the_pointer_of_each_old_batch_once_a_period(redis: Redis) -> None:
    """A batch whose pointer is old gets another, and then not before that is old, too; also while Redis is full."""
    queue(redis, 1)
    batch_id = claim(redis, LIMITS)
    assert redis.llen(keys.FLUSH) == 1
    assert sweep(redis, 60, 10) == []
    redis.zadd(keys.BATCHES, {str(batch_id): 1.0})
    redis.config_set("maxmemory", 1)
    try:
        assert sweep(redis, 60, 10) == [batch_id]
        assert sweep(redis, 60, 10) == []
    finally:
        redis.config_set("maxmemory", 0)
    assert redis.llen(keys.FLUSH) == 2


def test_sweep__clock_of_redis_that_was_set_back_hides_no_batch(redis: Redis) -> None:
    """A pointer that was published in the future grows old from now on, like any other."""
    queue(redis, 1)
    batch_id = str(claim(redis, LIMITS))
    later, _ = redis.time()
    redis.zadd(keys.BATCHES, {batch_id: later + 1e6})
    assert sweep(redis, 60, 10) == []
    assert (redis.zscore(keys.BATCHES, batch_id) or 1e12) <= redis.time()[0]


def test_flush__batch_leaves_redis_when_it_is_stored(redis: Redis, engine: Engine) -> None:
    """After the commit nothing of the batch is left in Redis."""
    queue(redis, 1, 2)
    batch_id = str(claim(redis, LIMITS))
    assert flush(redis, engine, batch_id) == Counts(2, 2, 0, 0)
    assert redis.keys("*") == [keys.FLUSH.encode()]


def test_flush__replayed_batch_stores_nothing(redis: Redis, engine: Engine) -> None:
    """A batch that was committed and not removed is removed, and neither events nor dead letters come twice."""
    queue(redis, 1)
    redis.lpush(keys.EVENTS, "nothing")
    batch_id = str(claim(redis, LIMITS))
    elements = redis.lrange(keys.batch(batch_id), 0, -1)
    assert store_elements(engine, batch_id, elements) == Counts(2, 1, 0, 1)  # type: ignore[arg-type]
    assert flush(redis, engine, batch_id) is None
    assert redis.keys("*") == [keys.FLUSH.encode()]
    with engine.connect() as connection:
        counts = connection.execute(
            text("SELECT (SELECT count(*) FROM participation_events), (SELECT count(*) FROM dead_letters)")
        ).one()
    assert counts == (1, 1)
    assert flush(redis, engine, batch_id) is None


def test_flush__redis_away_is_unavailable(engine: Engine) -> None:
    """A Redis that is not there is told as something that passes."""
    with pytest.raises(Unavailable, match="Redis"):
        flush(Redis(port=1, socket_connect_timeout=1), engine, "b")


def test_store__repeats_in_one_batch_and_over_batches_are_counted(engine: Engine) -> None:
    """An event is stored once, however often it comes; received = stored + duplicates + dead."""
    assert put(engine, [event(), event(), event(object_id="1")]) == Counts(3, 2, 1, 0)
    assert put(engine, [event(occurred_at="2026-03-10T13:00:00+01:00"), event(object_id="2")]) == Counts(2, 1, 1, 0)


def dead_rows(engine: Engine) -> int:
    """Return how many rows the table holds beyond those that count: left behind by what was rolled back."""
    with transaction(engine) as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pgstattuple"))
        connection.execute(text("ALTER TABLE participation_events_2026_03 SET (autovacuum_enabled = false)"))
        return int(connection.scalar(text("SELECT dead_tuple_count FROM pgstattuple('participation_events_2026_03')")))


def test_store__after_duplicates_no_batch_is_copied_in_vain(engine: Engine) -> None:
    """A repeat costs one attempt that leaves rows behind; the batches after it are merged, and leave none."""
    batch = [event(object_id=str(number)) for number in range(100)]
    put(engine, [event(object_id="new"), *batch])
    assert dead_rows(engine) == 0
    assert put(engine, [event(object_id="newer"), *batch]) == Counts(101, 1, 100, 0)
    left = dead_rows(engine)
    assert left > 0
    assert put(engine, [event(object_id="newest"), *batch]) == Counts(101, 1, 100, 0)
    assert dead_rows(engine) == left


@pytest.mark.parametrize("repeat", [False, True])
def test_store__values_that_copy_would_escape_are_kept(engine: Engine, repeat: bool) -> None:
    """Tabs, line ends, backslashes and COPY's own words, in a batch of new events and in one with a repeat."""
    odd = event(community_id="a\\b\tc\nd", member_id="\\N", channel_id="\\.", metadata={"emoji": "\\r\n"})
    put(engine, [odd, odd] if repeat else [odd])
    with transaction(engine) as connection:
        row = connection.execute(
            text(
                "SELECT community_id, member_id, channel_id, object_id, metadata ->> 'emoji' FROM participation_events"
            )
        ).one()
        assert due.list_due(connection, odd["community_id"]) == [(odd["community_id"], date(2026, 3, 10))]
    assert tuple(row) == (odd["community_id"], "\\N", "\\.", None, "\\r\n")


@pytest.mark.parametrize("repeat", [False, True])
def test_store__voice_marks_the_days_that_it_can_touch(engine: Engine, repeat: bool) -> None:
    """The same days from both ways in: of a user's voice twelve hours around, of others' none."""
    voice = event(event_type="VOICE_JOINED", occurred_at="2026-03-10T12:07:00Z")
    late = event(event_type="VOICE_JOINED", occurred_at="2026-03-10T11:59:59Z", community_id="early")
    bot = event(actor_kind="bot", community_id="bots")
    put(engine, [voice, late, bot, *([voice] if repeat else [])])
    with transaction(engine) as connection:
        days = [(day.community_id, day.highlight_date.day) for day in due.list_due(connection)]
    assert days == [("early", 9), ("c", 10), ("early", 10), ("c", 11)]


def test_store__overlapping_batches_at_once_store_each_event_once(engine: Engine) -> None:
    """Batches with the same events in opposite orders, in parallel, neither deadlock nor store twice."""
    put(engine, [event(object_id="before")])
    elements = [message.encode(event(object_id=str(number))) for number in range(5_000)]
    accepted = list(decode_batch(elements).accepted)
    begin = Barrier(2)

    def flush_at_once(batch: list[Accepted]) -> Counts | None:
        with transaction(engine) as connection:
            begin.wait(SECONDS)
            result = store_batch(connection, uuid4().hex, datetime.now(UTC), Content(batch, Notices(), []))
            return result and result.total

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(flush_at_once, [accepted, accepted[::-1]]))
    assert sorted(each.stored for each in counts if each) == [0, 5_000]
    assert sorted(each.duplicates for each in counts if each) == [0, 5_000]


def test_store__same_batch_twice_at_once_is_stored_once(engine: Engine) -> None:
    """Of two workers with one batch only one stores it; the other finds it taken, and does not wait, or done."""
    elements = [message.encode(event(object_id=str(number))) for number in range(500)] + [b"nothing"]
    batch_id = uuid4().hex

    def store_unless_taken(_: int) -> Counts | None:
        try:
            return store_elements(engine, batch_id, elements)
        except BatchTaken:
            return None

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(store_unless_taken, range(2)))
    assert sorted(results, key=repr) == [Counts(501, 500, 0, 1), None]


def test_flush__batch_that_another_process_is_storing_is_left_to_it(redis: Redis, engine: Engine) -> None:
    """While a transaction that may have been stopped holds the batch, nobody waits for it and nothing is removed."""
    queue(redis, 1)
    batch_id = str(claim(redis, LIMITS))
    with transaction(engine) as connection:
        store_batch(connection, batch_id, datetime.now(UTC), Content([], Notices(), []))
        assert flush(redis, engine, batch_id) is None
        assert redis.exists(keys.batch(batch_id))
        connection.rollback()
    assert flush(redis, engine, batch_id) == Counts(1, 1, 0, 0)


def test_store__makes_the_partition_of_any_month(database: str) -> None:
    """Events of any month since 2000 find or get their partition, also from several workers at once."""
    engine = connect(database)
    months = [f"{year}-{month:02}" for year in (2000, 2009) for month in (1, 2, 12)]
    batches = [[event(occurred_at=f"{month}-01T00:00:00Z") for month in months]] * 4
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda batch: put(engine, batch), batches))
    engine.dispose()
    assert sum(each.stored for each in counts if each) == 6


def test_ahead__makes_this_month_and_those_that_follow(database: str) -> None:
    """Partitions exist before their first event, over the turn of a year; a repeat makes none."""
    engine = connect(database)
    made = partitions.ahead(engine, datetime(2030, 11, 30, 23, tzinfo=UTC), 3)
    again = partitions.ahead(engine, datetime(2030, 11, 1, tzinfo=UTC), 3)
    engine.dispose()
    assert made == [f"participation_events_{month}" for month in ("2030_11", "2030_12", "2031_01", "2031_02")]
    assert again == []


def test_store__row_that_postgresql_rejects_stands_alone_in_dead_letters(database: str) -> None:
    """Where PostgreSQL is stricter than our validation, the culprits are found and all others are stored."""
    engine = connect(database)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE participation_events ALTER member_id TYPE varchar(5)"))
    events = [event(object_id=str(n), member_id="culprit" if n in {3, 77} else "ada") for n in range(100)]
    counts = put(engine, events)
    with engine.connect() as connection:
        letters = connection.execute(text("SELECT reason, detail, raw FROM dead_letters ORDER BY id")).all()
    engine.dispose()
    assert counts == Counts(100, 98, 0, 2)
    assert [letter.reason for letter in letters] == ["rejected", "rejected"]
    assert "22001" in letters[0].detail
    assert message.decode(bytes(letters[0].raw)).argument == events[3]


def test_store__long_dead_letter_keeps_its_beginning_length_and_hash(engine: Engine) -> None:
    """A dead letter does not fill the database: the first 64 KiB, the whole length and the hash are kept."""
    store_elements(engine, "b", [b"x" * 1_000_000])
    with engine.connect() as connection:
        row = connection.execute(
            text("SELECT length(raw), raw_bytes, raw_sha256 = sha256(repeat('x', 1000000)::bytea) FROM dead_letters")
        ).one()
    assert row == (65_536, 1_000_000, True)


def test_store__marks_the_local_day_and_for_voice_every_day_in_reach(engine: Engine) -> None:
    """A message marks its day in the community's zone; a voice event also those twelve hours away; bots none."""
    put(
        engine, [event(occurred_at="2026-03-10T12:00:00Z"), event(occurred_at="2026-03-11T01:00:00Z", actor_kind="bot")]
    )
    assert marked(engine) == {"2026-03-10"}
    put(engine, [event(occurred_at="2026-03-20T11:00:00Z", event_type="VOICE_LEFT")])
    assert marked(engine) == {"2026-03-10", "2026-03-19", "2026-03-20"}


def test_store__duplicate_marks_nothing(engine: Engine) -> None:
    """An event that is stored already makes no day due again."""
    put(engine, [event()])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM due_days"))
    put(engine, [event()])
    assert marked(engine) == set()


def test_compact__leaves_one_mark_a_day(engine: Engine) -> None:
    """However many batches touched a day, it is due once, and still due."""
    for number in range(5):
        put(engine, [event(object_id=str(number)), event(object_id=str(number), community_id="d")])
    with transaction(engine) as connection:
        due.compact_marks(connection)
        assert connection.scalar(text("SELECT count(*) FROM due_days")) == 2
        assert due.list_due(connection) == [("c", date(2026, 3, 10)), ("d", date(2026, 3, 10))]
        assert due.list_due(connection, "d") == [("d", date(2026, 3, 10))]


def test_transaction__translates_what_the_servers_say(database: str, empty_database: str) -> None:
    """A server that is away passes; a missing table, password or database does not, and the text says what to do."""
    cases = [
        (empty_database, ConfigError, "run `participation migrate`"),
        ("postgresql://nobody@127.0.0.1:1/x", Unavailable, "is it running"),
        (database.replace("participation:", "participation:wrong"), ConfigError, "correct DATABASE_URL"),
        (database + "_not_there", ConfigError, "correct DATABASE_URL"),
    ]
    for url, error, says in cases:
        engine = connect(url)
        with pytest.raises(error, match=says), transaction(engine) as connection:
            connection.execute(text("SELECT count(*) FROM communities"))
        engine.dispose()


def test_connect__what_is_no_url_is_a_config_error() -> None:
    """A URL that cannot be read is told as such."""
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        connect("postgresql://u:p@host:port/name")


def test_store__community_that_postgresql_cannot_store_is_a_letter(engine: Engine) -> None:
    """A NUL in the community of one event does not stop the batch."""
    right, wrong = event(object_id="1"), event(community_id="c\0")
    assert put(engine, [right, wrong]) == Counts(received=2, stored=1, dead=1)
