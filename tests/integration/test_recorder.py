"""The recorder: no error in it affects the bot."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from redis import Redis

from participation import Event, EventType, keys, message
from participation.bots.names import Seen
from participation.bots.recorder import Recorder
from participation.publish import Publisher
from tests.worker import eventually, queued

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def spool(environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / "spool"))
    return tmp_path / "spool"


def joined(place_id: int, recorder: Recorder) -> Iterator[Event]:
    yield Event(
        event_type=EventType.MEMBER_JOINED,
        platform=recorder.platform,
        community_id=recorder.community(place_id),
        member_id="ada",
        occurred_at=AT,
    )


def communities(redis: Redis) -> list[str]:
    raws: object = redis.lrange(keys.EVENTS, 0, -1)
    assert isinstance(raws, list)
    given = [message.decode(raw).argument for raw in reversed(raws)]
    return [item["community_id"] for item in given if isinstance(item, dict)]


def test_recorder__names_communities_by_platform_and_place(redis: Redis) -> None:
    """A guild or chat that is not mapped to a community gets a community of its own."""
    recorder = Recorder("discord", {1: "harbour"})
    recorder.record(joined, 1, recorder)
    recorder.record(joined, 2, recorder)
    asyncio.run(recorder.close())
    assert communities(redis) == ["harbour", "discord:2"]


def test_record__error_in_a_mapping_does_not_reach_the_bot(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """The error is counted, and logged at most once a minute. The events before and after it are published."""
    recorder = Recorder("discord")

    def broken(number: int) -> Iterator[Event]:
        yield from joined(number, recorder)
        raise LookupError("no such guild")

    for number in range(3):
        recorder.record(broken, number)
    recorder.record(joined, 9, recorder)
    asyncio.run(recorder.close())
    assert recorder.failed == 3
    assert communities(redis) == ["discord:0", "discord:1", "discord:2", "discord:9"]
    told = [record.message for record in caplog.records if "event_lost" in record.message]
    assert len(told) == 1
    assert "no such guild" in told[0]


def test_close__leaves_a_shared_publisher_open(redis: Redis) -> None:
    """The recorder sends its events, but does not close a shared publisher."""
    publisher = Publisher()
    recorder = Recorder("discord", publisher=publisher)
    recorder.record(joined, 1, recorder)
    asyncio.run(recorder.close())
    assert communities(redis) == ["discord:1"]
    assert not publisher.close().waiting


def test_close__what_comes_after_it_is_sent_too(redis: Redis) -> None:
    """Events after `close` are sent too, for example if a cog is loaded again."""
    recorder = Recorder("discord")
    for number in range(2):
        recorder.record(joined, number, recorder)
        asyncio.run(recorder.close())
    asyncio.run(recorder.close())
    assert communities(redis) == ["discord:0", "discord:1"]


def test_close__says_what_redis_has_not_taken(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If Redis is unavailable, the log says how many events are on disk, and that the next start sends them."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    recorder = Recorder("discord")
    recorder.record(joined, 1, recorder)
    recorder.note_presence(1, is_present=False, changed_at=AT)
    asyncio.run(recorder.close())
    assert "events_left platform=discord spooled=2 waiting=0" in caplog.text
    assert os.listdir(os.environ["PARTICIPATION_SPOOL_DIR"])


def test_note_presence__never_raises(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """A notice that cannot be published is counted and logged."""
    recorder = Recorder("discord")
    recorder.note_presence(1, is_present=True, changed_at=object())  # type: ignore[arg-type]
    recorder.note_presence(1, is_present=True, changed_at=AT)
    asyncio.run(recorder.close())
    assert (recorder.failed, redis.llen(keys.EVENTS)) == (1, 1)
    assert "event_lost" in caplog.text


def seen(*numbers: int) -> list[Seen]:
    return [Seen("account", "harbour", str(number), f"Member {number}", AT) for number in numbers]


def notices(redis: Redis) -> list[list[str]]:
    """Return the names in each notice in the queue."""
    found = queued(redis, keys.NOTE_NAMES)
    return [[name["name"] for name in notice] for notice in found]


def test_names__are_told_once_and_in_lists_of_500(redis: Redis) -> None:
    """A notice has at most 500 names. Names that were told are not told again."""
    recorder = Recorder("discord")
    assert recorder.note_names(seen, *range(1_100))
    assert recorder.note_names(seen, *range(1_101))
    asyncio.run(recorder.close())
    assert [len(notice) for notice in notices(redis)] == [500, 500, 100, 1]


def test_names__that_are_refused_are_told_later(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While queue and spool are full, names are refused and not remembered. Nothing is raised."""
    url = os.environ["REDIS_URL"]
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("PARTICIPATION_PUBLISH_QUEUE", "1")
    spool.write_text("a file, where the folder should be")
    full = Publisher()
    recorder = Recorder("discord", publisher=full)
    others = count(100)
    eventually(lambda: not recorder.note_names(seen, next(others)))
    assert not recorder.note_names(seen, 7)
    assert "event_refused" in caplog.text
    full.close()
    assert not recorder.note_names(seen, 7)
    monkeypatch.setenv("REDIS_URL", url)
    spool.unlink()
    recorder._shared_publisher = Publisher()
    assert recorder.note_names(seen, 7)
    asyncio.run(recorder.close())
    assert notices(redis) == [["Member 7"]]
    recorder._shared_publisher.close()


def test_names__of_an_outage_arrive_after_it(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are told while Redis is away are in the spool, and the next start sends them."""
    url = os.environ["REDIS_URL"]
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    recorder = Recorder("discord")
    recorder.record(joined, 1, recorder)
    assert recorder.note_names(seen, 1, 2)
    asyncio.run(recorder.close())
    assert notices(redis) == []
    monkeypatch.setenv("REDIS_URL", url)
    later = Recorder("discord")
    later.record(joined, 2, later)
    eventually(lambda: notices(redis) == [["Member 1", "Member 2"]])
    asyncio.run(later.close())


def test_names__a_wrong_one_is_logged_and_the_others_are_sent(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """A time that no notice may have, for example because the clock is slow, costs one name."""
    recorder = Recorder("discord")
    (wrong,) = seen(1)
    recorder.note_names(lambda: [wrong._replace(joined_at=datetime(2099, 1, 1, tzinfo=UTC)), *seen(2)])
    asyncio.run(recorder.close())
    assert notices(redis) == [["Member 2"]]
    assert (recorder.failed, "event_lost platform=discord where=note_names" in caplog.text) == (1, True)
