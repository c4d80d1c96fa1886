"""What a process has told about names: each name once, again when it changes, in bounded memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from participation.bots.names import Seen, ToldNames
from participation.notices import names

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def ada(**values: Any) -> Seen:
    return Seen("account", "harbour", "1", "Ada", NOON)._replace(**values)


def told(*seen: Seen, size: int = 100) -> ToldNames:
    memory = ToldNames(size)
    for each in seen:
        memory.add([each])
    return memory


@pytest.mark.parametrize(
    ("seen", "is_news"),
    [
        ({}, False),
        ({"seen_at": NOON + timedelta(days=1)}, False),
        ({"name": "Ada L."}, True),
        ({"username": "ada"}, True),
        ({"community_id": "other"}, True),
        ({"id": "2"}, True),
        ({"kind": "channel"}, True),
        ({"joined_at": NOON}, True),
        ({"name": "Old", "seen_at": NOON - timedelta(seconds=1)}, False),
    ],
)
def test_news__is_what_differs_and_is_not_older(seen: dict[str, Any], is_news: bool) -> None:
    """A person has another name in each community. An older name does not come back."""
    assert bool(told(ada()).news([ada(**seen)])) is is_news


def test_news__joining_time_and_former_id_are_not_told_each_time() -> None:
    """Only some updates have them. An update without them is no news."""
    memory = told(ada(joined_at=NOON, former_id="0"))
    assert memory.news([ada()]) == []
    memory.add([ada(name="Ada L.")])
    assert memory.news([ada(name="Ada L.", joined_at=NOON, former_id="0")]) == []
    assert memory.news([ada(name="Ada L.", joined_at=NOON + timedelta(days=1))]) != []


def test_news__is_not_remembered_before_it_was_told() -> None:
    """A name that the publisher refused is news again. Twice in one list it is told once."""
    memory = ToldNames()
    assert memory.news([ada(name="A"), ada()]) == [ada()]
    assert memory.news([ada()]) == [ada()]


def test_memory__is_bounded_and_keeps_what_was_seen_last() -> None:
    """The name that was not seen for the longest time is forgotten."""
    memory = told(*(ada(id=str(number)) for number in range(3)), size=3)
    assert memory.news([ada(id="0")]) == []
    memory.add([ada(id="3")])
    assert len(memory) == 3
    assert memory.news([ada(id="0"), ada(id="1"), ada(id="2")]) == [ada(id="1")]


def test_name__is_what_the_notice_has() -> None:
    """Half a character, which JSON can contain, does not prevent the other names of a list from being sent."""
    name = ada(name="A\ud800", joined_at=NOON).decode("irc")
    assert names.encode(name) == {
        "kind": "account",
        "community_id": "harbour",
        "platform": "irc",
        "id": "1",
        "name": "A?",
        "joined_at": "2026-03-10T12:00:00Z",
        "seen_at": "2026-03-10T12:00:00Z",
    }
