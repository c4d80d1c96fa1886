"""Many events at once: all acknowledged, or a failure that says how far it came, from which sending goes on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery.signals import after_task_publish
from redis import Redis
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout
from sqlalchemy import Engine, text

from participation import (
    Event,
    InvalidEvent,
    Unavailable,
    keys,
    message,
    redis_client,
    settings,
    tasks,
    track_event,
    track_events,
)
from participation.app import app
from participation.event import decode
from participation.publish import track_events as track_events_module
from participation.publish.sender import Sender
from participation.store.database import connect
from tests.rows import event
from tests.worker import SECONDS, at_rest, eventually, running

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()
    tasks._engine.cache_clear()


def events(count: int) -> list[dict[str, Any]]:
    return [event(object_id=str(number)) for number in range(count)]


def waiting(redis: Redis) -> list[str]:
    """Return the object of every event in the queue, in the order in which they were sent."""
    raws: Any = redis.lrange(keys.EVENTS, 0, -1)
    return [dict(message.decode(raw).argument)["object_id"] for raw in reversed(raws)]  # type: ignore[call-overload]


def stored(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM participation_events")).scalar_one())


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1_234])
def test_track_events__every_event_is_a_message_in_its_order(redis: Redis, count: int) -> None:
    """What was given is in the queue when it returns, each event by itself, and it says how many."""
    assert track_events(events(count), queue_limit=None) == count
    assert waiting(redis) == [str(number) for number in range(count)]


def test_track_events__takes_what_delay_takes(redis: Redis, engine: Engine, tmp_path: Path) -> None:
    """Dictionaries and `Event` alike, out of any iterable; a worker stores them once."""
    mixed: list[dict[str, Any] | Event] = [*events(3), *(decode(value) for value in events(5))]
    assert track_events(iter(mixed)) == 8
    with running(tmp_path / "worker.log"):
        eventually(lambda: at_rest(redis, engine, 8))
    assert stored(engine) == 5


def test_track_events__reads_no_further_than_it_sends(redis: Redis) -> None:
    """When an event is read, all but the chunk that it belongs to have been acknowledged."""
    ahead = []

    def read() -> Iterator[dict[str, Any]]:
        for number in range(1_600):
            ahead.append(number + 1 - int(redis.llen(keys.EVENTS)))
            yield event(object_id=str(number))

    assert track_events(read()) == 1_600
    assert max(ahead) == 500


def test_track_events__invalid_event_is_named_and_nothing_of_its_chunk_is_sent(redis: Redis) -> None:
    """The error says which event, which field and which rule, and how many had been acknowledged before."""
    sent = events(1_200)
    sent[701]["member_id"] = 7
    with pytest.raises(InvalidEvent, match=r"event 701: member_id: must be a string .* got 7") as caught:
        track_events(sent)
    error = caught.value
    assert (error.index, error.field, error.raw, error.acknowledged) == (701, "member_id", sent[701], 500)
    assert redis.llen(keys.EVENTS) == 500


def test_track_events__refusal_in_the_middle_says_how_many_were_taken(redis: Redis) -> None:
    """A Redis that becomes full takes no further event, and the error counts those before."""

    def read() -> Iterator[dict[str, Any]]:
        yield from events(1_100)
        redis.config_set("maxmemory", 1)
        yield from events(1)

    try:
        with pytest.raises(
            Unavailable, match=r"refuses to take events .*maxmemory.* the first 1,000 events and none"
        ) as caught:
            track_events(read())
    finally:
        redis.config_set("maxmemory", 0)
    assert caught.value.acknowledged == redis.llen(keys.EVENTS) == 1_000


def test_track_events__silence_in_the_middle_then_again_is_stored_once(
    redis: Redis, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that stops answering is not waited for; sending again from what the error says repeats nothing."""
    sent = events(1_300)

    def read() -> Iterator[dict[str, Any]]:
        yield from sent[:700]
        redis.client_pause(60_000, all=False)
        patch.setitem(track_event.__dict__, "sender", Sender(redis_client.connect(settings.load().redis(), 0.2)))
        yield from sent[700:]

    with (
        monkeypatch.context() as patch,
        pytest.raises(Unavailable, match="first 500 events; of the next 500 it is unknown") as caught,
    ):
        track_events(read(), queue_limit=None)
    assert caught.value.acknowledged == 500
    redis.client_unpause()
    # The command that hung is carried out now, if its connection had not been given up.
    assert track_events(sent[500:]) == 800
    total = int(redis.llen(keys.EVENTS))
    with running(tmp_path / "worker.log"):
        eventually(lambda: at_rest(redis, engine, total))
    assert stored(engine) == 1_300


def test_track_events__queue_that_is_full_is_waited_for(redis: Redis) -> None:
    """After the first 500, sending goes on when the queue is short enough."""
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(track_events, events(1_000), queue_limit=499)
        eventually(lambda: redis.llen(keys.EVENTS) == 500)
        assert not sending.done()
        redis.delete(keys.EVENTS)
        assert sending.result() == 1_000
    assert redis.llen(keys.EVENTS) == 500


def test_track_events__few_events_never_wait(redis: Redis) -> None:
    """However long the queue, a call with one chunk sends it, as `delay` does."""
    for _ in range(2):
        assert track_events(events(500), queue_limit=0) == 500
    assert redis.llen(keys.EVENTS) == 1_000


def test_track_events__program_that_watches_publishing_hears_of_each(redis: Redis) -> None:
    """A receiver of Celery's signals is told of every event."""
    heard = []

    def listen(headers: dict[str, Any], **_: object) -> None:
        heard.append(headers["id"])

    # Not weak: when a weak receiver has died, Celery makes a new list of receivers, and senders keep the old one.
    after_task_publish.connect(listen, weak=False)
    try:
        assert track_events(events(3)) == 3
    finally:
        after_task_publish.disconnect(listen)
    assert len({*heard}) == redis.llen(keys.EVENTS) == 3


def test_track_events__eager_program_stores_by_itself(
    redis: Redis, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `task_always_eager` the events are stored at once, and an invalid one tells how many were."""
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    with pytest.raises(InvalidEvent) as caught:
        track_events([*events(2), {}])
    assert (caught.value.index, caught.value.acknowledged) == (2, 2)
    assert redis.llen(keys.EVENTS) == 0
    assert stored(engine) == 2


def test_track_events__eager_program_needs_no_redis(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs its tasks itself has no queue to look at, however many events it has."""
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.delitem(track_event.__dict__, "sender", raising=False)
    monkeypatch.setattr(track_events_module, "CHUNK", 2)
    assert track_events(events(5)) == stored(engine) == 5


# ---- the connections that are kept ----


def connections(redis: Redis) -> int:
    """Return how many connections Redis has ever taken."""
    stats: Any = redis.info("stats")
    return int(stats["total_connections_received"])


def test_delay__connection_is_kept(redis: Redis) -> None:
    """Calls one after the other use one connection, `delay` and `track_events` alike."""
    track_event.delay(event())
    before = connections(redis)
    for number in range(20):
        track_event.delay(event(object_id=str(number)))
    track_events(events(20))
    assert connections(redis) == before


def test_delay__threads_do_not_share_a_connection(redis: Redis) -> None:
    """Many threads at once lose nothing, and need no more connections than there are of them."""
    before = connections(redis)
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(track_event.delay, events(2_000)))
    assert len({result.id for result in results}) == redis.llen(keys.EVENTS) == 2_000
    assert connections(redis) <= before + 32


def test_push__answer_that_comes_late_is_not_taken_for_another(redis: Redis) -> None:
    """A connection on which an answer is outstanding is given up, and the next call opens another."""
    sender = Sender(redis_client.connect(settings.load().redis(), 5.0))
    sender.send([b"1"])
    before = connections(redis)
    redis.client_pause(60_000, all=False)
    with pytest.raises(RedisTimeout):
        sender.send([b"2"])
    redis.client_unpause()
    sender.send([b"3"])
    assert connections(redis) == before + 1


def test_push__server_that_is_no_longer_the_primary_is_left(redis: Redis) -> None:
    """Its refusal ends the connection: the next call asks anew where the primary is."""
    sender = Sender(redis_client.connect(settings.load().redis(), SECONDS))
    sender.send([b"1"])
    before = connections(redis)
    redis.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(ReadOnlyError):
            sender.send([b"2"])
    finally:
        redis.replicaof("NO", "ONE")
    sender.send([b"3"])
    assert connections(redis) == before + 1
    assert redis.llen(keys.EVENTS) == 2


def test_push__refusal_leaves_the_connection_as_it_was(redis: Redis) -> None:
    """Redis has answered: the connection that has brought a refusal brings the next message."""
    sender = Sender(redis_client.connect(settings.load().redis(), SECONDS))
    sender.send([b"1"])
    before = connections(redis)
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ResponseError, match="maxmemory"):
            sender.send([b"2"])
    finally:
        redis.config_set("maxmemory", 0)
    sender.send([b"3", b"4"])
    assert redis.lrange(keys.EVENTS, 0, -1) == [b"4", b"3", b"1"]
    assert connections(redis) == before


FORK = """
import os, sys
from participation import track_event
from tests.rows import event

track_event.delay(event(object_id="parent"))
child = os.fork()
for number in range(200):
    track_event.delay(event(object_id=f"{child and 'parent'}{number}"))
if child:
    assert os.waitpid(child, 0)[1] == 0
    track_event.delay(event(object_id="after"))
"""


def test_delay__child_does_not_use_its_parents_connection(redis: Redis) -> None:
    """After a fork both send at the same time, each on a connection of its own, and the parent's stays as it is."""
    before = connections(redis)
    folder = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", FORK], cwd=folder, env=os.environ, timeout=SECONDS, check=True)
    assert sorted(waiting(redis)) == sorted(
        ["parent", "after", *(f"{who}{n}" for who in ("parent", "0") for n in range(200))]
    )
    assert connections(redis) == before + 2
