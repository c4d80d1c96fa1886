"""What an adapter tells about names, and the memory of what was told. Does no I/O.

A name is told when a process first sees it, and when it changes. So an adapter may look at every update.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from participation.notices import names
from participation.notices.names import Name

REMEMBERED: Final = 100_000
"""How many names a process remembers. The ones that were not seen for the longest time are told again."""


class Seen(NamedTuple):
    """The name of an account, channel or space, as a bot sees it now. The fields are those of the notice."""

    kind: Literal["account", "channel", "space"]
    community_id: str
    id: str
    name: str
    seen_at: datetime
    username: str | None = None
    joined_at: datetime | None = None
    parent_id: str | None = None
    category_id: str | None = None
    is_public: bool | None = None
    former_id: str | None = None

    def decode(self, platform: str) -> Name:
        """Return the name as the notice has it. Raises `InvalidEvent` if a field breaks its rule."""
        given = {field: _text(value) for field, value in self._asdict().items() if value is not None}
        return names.decode({**given, "platform": platform})


class _Told(NamedTuple):
    facts: int
    joined_at: datetime | None
    former_id: str | None
    seen_at: datetime


class ToldNames:
    """The names that this process has told. size: how many are remembered."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        # By hashes, so that each name takes the same small space. The latest one is the last.
        self._told: dict[int, _Told] = {}

    def __len__(self) -> int:
        return len(self._told)

    def news(self, seen: Iterable[Seen]) -> list[Seen]:
        """Return the names that differ from what was told, each id once, and keep the others in memory."""
        return list({_key(each): each for each in seen if self._is_news(each)}.values())

    def add(self, told: Iterable[Seen]) -> None:
        """Remember that these names were told."""
        for each in told:
            before = self._told.pop(_key(each), None)
            joined_at = each.joined_at or (before and before.joined_at)
            former_id = each.former_id or (before and before.former_id)
            self._told[_key(each)] = _Told(_facts(each), joined_at, former_id, each.seen_at)
        while len(self._told) > self._size:
            del self._told[next(iter(self._told))]

    def _is_news(self, seen: Seen) -> bool:
        key = _key(seen)
        told = self._told.pop(key, None)
        if told is None:
            return True
        self._told[key] = told
        # An update may tell an older name than the one before it, for example the first name of a topic.
        if seen.seen_at < told.seen_at:
            return False
        # These two are not told each time.
        is_known = seen.joined_at in {None, told.joined_at} and seen.former_id in {None, told.former_id}
        return not is_known or _facts(seen) != told.facts


def _key(seen: Seen) -> int:
    return hash((seen.kind, seen.community_id, seen.id))


def _facts(seen: Seen) -> int:
    return hash((seen.name, seen.username, seen.parent_id, seen.category_id, seen.is_public))


def _text(value: Any) -> Any:
    """Return a text without the halves of characters that JSON can contain. Without this, no name could be sent."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
