"""The non-blocking publisher on a real Redis: nothing is lost on the way, whatever happens to Redis or to the bot."""

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from redis import Redis

from participation import ConfigError, InvalidEvent, keys, message, redis_client
from participation.local.valkey import Valkey
from participation.notices.presence import Presence
from participation.publish import Left, Publisher, spool
from participation.publish.outbox import Outbox
from participation.publish.sender import Sender
from tests.rows import event
from tests.worker import SECONDS, eventually

SPOOL = "spool"


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Redis that tests may stop and start again."""
    with Valkey(tmp_path_factory.mktemp("bus")) as server:
        yield server


@pytest.fixture
def redis(bus: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """The server, empty, and the settings of a publisher that uses it."""
    monkeypatch.setenv("REDIS_URL", bus.url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / SPOOL))
    with Redis.from_url(bus.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def publisher(redis: Redis) -> Iterator[Publisher]:
    publisher = Publisher()
    yield publisher
    publisher.close()


@pytest.fixture
def away(bus: Valkey, redis: Redis) -> Iterator[Valkey]:
    """The same server, which is not there until the test starts it."""
    bus.stop()
    yield bus
    bus.start()


def events(count: int, **values: Any) -> list[dict[str, Any]]:
    return [event(object_id=str(number), **values) for number in range(count)]


def queued(redis: Redis) -> list[str]:
    """Return the object of every event in the queue, in the order in which they were sent."""
    raws: Any = redis.lrange(keys.EVENTS, 0, -1)
    return [decoded(raw)["object_id"] for raw in reversed(raws)]


def decoded(raw: bytes) -> dict[str, Any]:
    given = message.decode(raw).argument
    assert isinstance(given, dict)
    return given


def files(folder: Path) -> list[Path]:
    return [*folder.rglob("*.spool*")]


def bot(program: str) -> "subprocess.Popen[bytes]":
    """Start a program that publishes, as a process of its own; it says when it is done on its standard output."""
    head = "import sys\nfrom participation.publish import *\nfrom tests.rows import event\n"
    return subprocess.Popen([sys.executable, "-c", head + program], stdout=subprocess.PIPE)


def ends(process: "subprocess.Popen[bytes]") -> bytes:
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    return said


# ---- while all is well ----


def test_track__every_event_is_a_message_in_its_order(redis: Redis, publisher: Publisher) -> None:
    """What was tracked is in the queue after a flush, each event by itself and as it was, and the counters say so."""
    given = events(1_234)
    assert all(publisher.track(item) for item in given)
    assert publisher.flush(SECONDS) == Left(0, 0)
    assert queued(redis) == [item["object_id"] for item in given]
    raw: Any = redis.lindex(keys.EVENTS, -1)
    assert decoded(raw) == given[0]
    counters = publisher.counters()
    assert (counters.tracked, counters.sent, counters.refused, counters.invalid) == (1_234, 1_234, 0, 0)


def test_track__arrives_without_a_flush(redis: Redis, publisher: Publisher) -> None:
    """An event is sent by itself, also after a while in which none came."""
    for number in range(2):
        publisher.track(event(object_id=str(number)))
        eventually(lambda: redis.llen(keys.EVENTS) == number + 1)  # noqa: B023 - asked before the next turn


def test_track__from_coroutines_and_threads_at_once(redis: Redis, publisher: Publisher) -> None:
    """Any number of them may use one publisher."""
    given = events(2_000)

    async def coroutine(part: list[dict[str, Any]]) -> None:
        for item in part:
            publisher.track(item)
            await asyncio.sleep(0)

    async def bot() -> None:
        await asyncio.gather(*(coroutine(given[number:1_000:10]) for number in range(10)))

    with ThreadPoolExecutor(8) as pool:
        others = pool.map(publisher.track, given[1_000:])
        asyncio.run(bot())
        assert all(others)
    assert publisher.flush(SECONDS) == Left(0, 0)
    assert sorted(queued(redis)) == sorted(item["object_id"] for item in given)


def test_track__invalid_event_is_the_callers(redis: Redis, publisher: Publisher) -> None:
    """It raises, naming the field and the rule, and is counted; its neighbours are sent."""
    first, second = events(2)
    publisher.track(first)
    with pytest.raises(InvalidEvent, match="member_id: must be a string"):
        publisher.track({**first, "member_id": 7})
    publisher.track(second)
    assert publisher.flush(SECONDS) == Left(0, 0)
    assert (queued(redis), publisher.counters().invalid) == (["0", "1"], 1)


def test_track__keeps_the_event_as_it_was(redis: Redis, publisher: Publisher) -> None:
    """What the caller does to its dictionaries afterwards does not matter."""
    given = event(object_id="1", metadata={"emoji": "🎉"})
    publisher.track(given)
    given["metadata"]["emoji"] = "👎"
    publisher.flush(SECONDS)
    raw: Any = redis.lindex(keys.EVENTS, 0)
    assert decoded(raw)["metadata"] == {"emoji": "🎉"}


def test_note_presence__travels_with_the_events(redis: Redis, publisher: Publisher) -> None:
    """It takes the way of the events, so that it is stored in their order."""
    publisher.track(event(object_id="1"))
    publisher.note_presence(Presence("c", "irc", False, datetime(2026, 3, 1, tzinfo=UTC), "7"))
    assert publisher.flush(SECONDS) == Left(0, 0)
    raws: Any = redis.lrange(keys.EVENTS, 0, -1)
    found = [message.decode(raw) for raw in reversed(raws)]
    assert [each.task for each in found] == [keys.TRACK_EVENT, keys.NOTE_PRESENCE]
    assert cast("dict[str, object]", found[1].argument)["space_id"] == "7"


def test_publisher__without_a_redis_url_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bot that is set up wrongly learns it when it starts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(ConfigError, match="REDIS_URL is not set"):
        Publisher()


# ---- while Redis is not there ----


def test_outage__events_wait_on_the_disk_and_arrive_with_their_times(
    away: Valkey, redis: Redis, publisher: Publisher, tmp_path: Path
) -> None:
    """They go into the spool in their order, from there to Redis when it is back, and nothing stays on the disk."""
    given = events(1_200, occurred_at="2026-03-10T12:00:00.123456Z")
    for item in given:
        assert publisher.track(item)
    eventually(lambda: publisher.left() == Left(0, 1_200))
    assert len(files(tmp_path / SPOOL)) == 2
    away.start()
    eventually(lambda: publisher.left() == Left(0, 0))
    raws: Any = redis.lrange(keys.EVENTS, 0, -1)
    assert [decoded(raw) for raw in reversed(raws)] == given
    eventually(lambda: files(tmp_path) == [])


def test_outage__what_comes_after_it_does_not_wait_for_the_spool(
    away: Valkey, redis: Redis, publisher: Publisher
) -> None:
    """Old and new are both there in the end, each once."""
    for item in events(3_000):
        publisher.track(item)
    eventually(lambda: publisher.left() == Left(0, 3_000))
    away.start()
    for number in range(3_000, 4_000):
        publisher.track(event(object_id=str(number)))
    eventually(lambda: publisher.left() == Left(0, 0))
    assert sorted(map(int, queued(redis))) == [*range(4_000)]


def test_outage__a_redis_that_hangs_is_no_different(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts and does not answer: the events are on the disk after the timeout, and in Redis after it."""
    monkeypatch.setenv("PARTICIPATION_PUBLISH_TIMEOUT_SECONDS", "0.5")
    publisher = Publisher()
    publisher.track(event(object_id="first"))
    publisher.flush(SECONDS)
    redis.client_pause(60_000, all=False)
    for item in events(10):
        publisher.track(item)
    eventually(lambda: publisher.left().spooled >= 10)
    redis.client_unpause()
    eventually(lambda: publisher.left() == Left(0, 0))
    # Those whose answer was lost may be there twice: they are recognised when they are stored.
    assert {*queued(redis)} == {"first", *(str(number) for number in range(10))}
    publisher.close()


def test_outage__a_redis_that_is_full_is_no_different(redis: Redis, publisher: Publisher) -> None:
    """What it refuses waits on the disk until there is room."""
    redis.config_set("maxmemory", 1)
    try:
        for item in events(10):
            publisher.track(item)
        eventually(lambda: publisher.left() == Left(0, 10))
    finally:
        redis.config_set("maxmemory", 0)
    eventually(lambda: publisher.left() == Left(0, 0))
    assert queued(redis) == [str(number) for number in range(10)]


def test_outage__disk_that_cannot_be_written_keeps_events_in_memory(
    away: Valkey, redis: Redis, publisher: Publisher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are not lost as long as the process lives, and the log says what is wrong, once."""
    (tmp_path / SPOOL).write_text("where the folder should be")
    for item in events(600):
        assert publisher.track(item)
    eventually(lambda: "spool_unavailable" in caplog.text)
    assert publisher.left() == Left(600, 0)
    away.start()
    eventually(lambda: publisher.left() == Left(0, 0))
    assert queued(redis) == [str(number) for number in range(600)]
    assert sum("spool_unavailable" in record.message for record in caplog.records) == 1


def test_outage__full_queue_and_spool_refuse_messages_first_and_voice_last(
    away: Valkey, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest are refused and counted, with one line in the log; all that was taken arrives."""
    monkeypatch.setenv("PARTICIPATION_PUBLISH_QUEUE", "100")
    monkeypatch.setenv("PARTICIPATION_SPOOL_MEGABYTES", "1")
    publisher = Publisher()
    taken = []

    def offer(number: int, **values: Any) -> bool:
        item = event(object_id=str(number), metadata={"note": "x" * 1_000}, **values)
        taken.extend([str(number)] * publisher.track(item))
        return len(taken) > 0 and taken[-1] == str(number)

    numbers = iter(range(100_000))
    eventually(lambda: not all(offer(next(numbers)) for _ in range(100)) and "spool_unavailable" in caplog.text)
    joined = [offer(next(numbers), event_type="VOICE_JOINED") for _ in range(50)]
    assert joined == [True] * 10 + [False] * 40
    assert not offer(next(numbers))
    counters = publisher.counters()
    assert counters.tracked == len(taken) == counters.waiting + counters.spooled
    assert counters.refused == next(numbers) - len(taken)
    assert sum("event_refused" in record.message for record in caplog.records) == 1
    away.start()
    eventually(lambda: publisher.left() == Left(0, 0))
    assert sorted(queued(redis)) == sorted(taken)
    publisher.close()


# ---- the end of a bot ----


def test_close__takes_nothing_more_and_says_what_is_left(
    away: Valkey, redis: Redis, publisher: Publisher, tmp_path: Path
) -> None:
    """What Redis has not taken is in the spool when it returns; the next publisher sends it."""
    for item in events(700):
        publisher.track(item)
    assert publisher.close() == publisher.close() == Left(0, 700)
    assert not publisher.track(event())
    assert publisher.counters().refused == 1
    away.start()
    following = Publisher()
    following.track(event(object_id="new"))
    eventually(lambda: redis.llen(keys.EVENTS) == 701 and following.left() == Left(0, 0))
    assert sorted(queued(redis)) == sorted([*(str(number) for number in range(700)), "new"])
    eventually(lambda: files(tmp_path) == [])
    following.close()


def test_close__deadline_holds_while_redis_hangs(redis: Redis) -> None:
    """With a thread that waits for an answer, what it has in hand and what waits behind it gets onto the disk."""
    publisher = Publisher()
    publisher.track(event(object_id="first"))
    publisher.flush(SECONDS)
    redis.client_pause(60_000, all=False)
    try:
        for item in events(1_500):
            publisher.track(item)
        assert publisher.close(0.2) == Left(0, 1_500)
    finally:
        redis.client_unpause()
    following = Publisher()
    following.track(event(object_id="last"))
    eventually(lambda: {*queued(redis)} == {"first", "last", *(str(number) for number in range(1_500))})
    following.close()


@pytest.mark.parametrize(
    "program",
    [
        "for n in range(500): track(event(object_id=str(n)))",
        "import os\nif os.fork(): os.wait()\nelse: [track(event(object_id=str(n))) for n in range(500)]",
        """
import multiprocessing
def work(): [track(event(object_id=str(n))) for n in range(500)]
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
""",
        """
from threading import Thread
Thread(target=lambda: [track(event(object_id=str(n))) for n in range(500)]).start()
""",
    ],
    ids=["at once", "in a child of a fork", "in a child of multiprocessing", "from a thread"],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_exit__waits_for_what_was_tracked(redis: Redis, bus: Valkey, program: str, is_there: bool) -> None:
    """A program that ends right after it has tracked loses nothing: Redis has it, or the disk."""
    if not is_there:
        bus.stop()
    ends(bot(program))
    if not is_there:
        bus.start()
        ends(bot("import time\ntrack(event(object_id='0'))\nwhile counters().sent < 501: time.sleep(0.01)"))
    assert sorted({*queued(redis)}, key=int) == [str(number) for number in range(500)]
    assert redis.llen(keys.EVENTS) == 500 + (not is_there)


def test_kill__loses_nothing_that_was_in_the_spool(away: Valkey, redis: Redis, tmp_path: Path) -> None:
    """After SIGKILL, and a second one while the next process is sending, the third sends the rest: each event once."""
    program = """
for n in range(5_000): track(event(object_id=str(n)))
import time
while counters().spooled < 5_000: time.sleep(0.01)
print("spooled", flush=True)
time.sleep(60)
"""
    first = bot(program)
    assert first.stdout
    assert first.stdout.readline() == b"spooled\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    away.start()
    second = bot("import time\ntrack(event(object_id='second'))\ntime.sleep(60)")
    eventually(lambda: redis.llen(keys.EVENTS) > 500)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    third = Publisher()
    third.track(event(object_id="third"))
    eventually(lambda: third.left() == Left(0, 0) and files(tmp_path) == [])
    third.close()
    assert {*queued(redis)} == {"second", "third", *(str(number) for number in range(5_000))}


# ---- several publishers ----


def test_fork__child_and_parent_each_send_their_own(away: Valkey, redis: Redis, tmp_path: Path) -> None:
    """A fork while events are spooled: the parent goes on with its spool, the child has another, nothing is lost."""
    program = """
import os, time
for n in range(1_000): track(event(object_id=f"parent {n}"))
while counters().spooled < 1_000: time.sleep(0.01)
child = os.fork()
assert counters().spooled == (1_000 if child else 0), counters()
who = "parent later" if child else "child"
for n in range(1_000): track(event(object_id=f"{who} {n}"))
while counters().spooled < 1_000: time.sleep(0.01)
assert counters().tracked == (2_000 if child else 1_000), counters()
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    ends(bot(program))
    assert len([path for path in files(tmp_path) if path.suffix == spool.SUFFIX]) >= 1
    away.start()
    ends(bot("import time\ntrack(event(object_id='last'))\nwhile counters().sent < 3_001: time.sleep(0.01)"))
    every = [f"{who} {number}" for who in ("parent", "parent later", "child") for number in range(1_000)]
    assert sorted(queued(redis)) == sorted([*every, "last"])
    eventually(lambda: files(tmp_path) == [])


def test_publishers__never_share_a_file(away: Valkey, redis: Redis, tmp_path: Path) -> None:
    """Of several in one process and in another, each has its own, and each event is there once in the end."""
    mine = [Publisher() for _ in range(3)]
    for number, publisher in enumerate(mine):
        for item in events(100):
            publisher.track({**item, "channel_id": str(number)})
    ends(bot("for n in range(100): track(event(object_id=str(n)))"))
    eventually(lambda: all(publisher.left() == Left(0, 100) for publisher in mine))
    assert len([path for path in files(tmp_path) if path.suffix == spool.SUFFIX]) == 4
    away.start()
    for publisher in mine:
        assert publisher.flush(SECONDS) == Left(0, 0)
        publisher.close()
    following = Publisher()
    following.track(event(object_id="last"))
    eventually(lambda: redis.llen(keys.EVENTS) == 401 and files(tmp_path) == [])
    following.close()


def test_log__redis_that_goes_and_comes_is_told_once_each(
    away: Valkey, redis: Redis, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator sees when it went, where events are meanwhile, and when it was back; no event's content."""
    caplog.set_level(logging.INFO)
    publisher.track(event(member_id="a secret name"))
    eventually(lambda: publisher.left() == Left(0, 1))
    away.start()
    eventually(lambda: publisher.left() == Left(0, 0))
    ours = [record.message for record in caplog.records if record.name.startswith("participation")]
    assert [line.split()[0] for line in ours] == ["redis_unavailable", "redis_available"]
    assert "spool" in ours[0]
    assert "a secret name" not in caplog.text


def test_close__sends_what_came_while_the_thread_was_busy_with_the_spools(
    redis: Redis, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last event before the end goes to Redis, which is there, and does not wait for the next start of the bot."""
    is_busy = threading.Event()
    look = Outbox.send_spooled

    def look_for_long(delivery: Outbox) -> bool:
        is_busy.set()
        eventually(lambda: publisher._is_closed)
        return look(delivery)

    monkeypatch.setattr(Outbox, "send_spooled", look_for_long)
    first, last = events(2)
    publisher.track(first)
    assert is_busy.wait(SECONDS)
    publisher.track(last)
    assert publisher.close(SECONDS) == Left(0, 0)
    assert queued(redis) == ["0", "1"]


def test_track__thread_that_cannot_start_is_started_later(
    redis: Redis, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on threads loses nothing, and the bot hears nothing of it; without a thread, the disk has all."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert publisher.track(event(object_id="0"))
        closed = Publisher()
        assert closed.track(event(object_id="1"))
        assert closed.close() == Left(0, 1)
    assert publisher.track(event(object_id="2"))
    eventually(lambda: set(queued(redis)) == {"0", "1", "2"})


def test_spool__damaged_page_holds_nothing_else_up(redis: Redis, publisher: Publisher, tmp_path: Path) -> None:
    """A file that cannot be read to its end is set aside, and what is behind it is sent."""
    first, second = (spool.Spool.create(tmp_path / SPOOL, 10**8) for _ in range(2))
    items = [spool.Item(orjson.dumps(item)) for item in events(3_000)]
    first.append(items)
    second.append([spool.Item(orjson.dumps(event(object_id="behind")))])
    for each in (first, second):
        each.close()
    content = bytearray(first.path.read_bytes())
    page = 20 * spool.PAGE_BYTES
    assert content[page] == 13  # a page of rows
    content[page + 8 : page + 40] = b"\xff" * 32
    first.path.write_bytes(content)
    publisher.track(event(object_id="new"))
    eventually(lambda: {"new", "behind"} <= set(queued(redis)))
    assert first.path.with_suffix(".damaged").exists()


def test_thread__imports_nothing(redis: Redis) -> None:
    """A child that is forked while another thread imports finds half a module, and perhaps a lock that nobody opens."""
    said = ends(bot("p = Publisher()\nold = {*sys.modules}\np.track(event())\np.flush()\nprint({*sys.modules} - old)"))
    assert said == b"set()\n"


def test_end__in_the_middle_of_itself_and_after_an_interruption(away: Valkey, redis: Redis, tmp_path: Path) -> None:
    """A signal handler that closes while its own thread does changes nothing; what Ctrl-C left is saved by the next."""
    delivery = Outbox(Sender(redis_client.connect(away.url, 0.5)), tmp_path / SPOOL, 1_000_000)
    items = [spool.Item(b"%d" % number) for number in range(4)]

    def nested() -> Iterator[list[spool.Item]]:
        yield items[:1]
        delivery.end([items[1:2]])
        yield items[1:2]

    def interrupted() -> Iterator[list[spool.Item]]:
        yield items[2:3]
        raise KeyboardInterrupt

    delivery.end(nested())
    assert delivery.spooled == 2
    with pytest.raises(KeyboardInterrupt):
        delivery.end(interrupted())
    delivery.end([items[3:]])
    found = spool.abandoned(tmp_path / SPOOL, 1_000_000)
    assert sorted(item for each in found for item in each.first(9)[1]) == items
    for each in found:
        each.close()
