"""The names that Telegram's updates tell, and which updates are ignored, whichever library has read them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from participation.bots.bot_api import mapping, names
from participation.bots.bot_api.ignored import MESSAGES, IgnoredChannels
from participation.bots.names import Seen
from participation.platforms.telegram import GENERAL_SINCE
from tests.standins import telegram_updates as tg
from tests.standins.telegram_updates import ADA, BEN, BOATS, BOATS_AFTER, HARBOUR, NEWS, NEWS_DIRECT, NOON, Json
from tests.unit.test_telegram_mapping import LIBRARIES, community, read

CHAT = str(HARBOUR["id"])
LATER = NOON + timedelta(hours=1)


def seen(update: Json, ignored: frozenset[str] = frozenset()) -> list[Seen]:
    """Return the names that the update tells. Both libraries must tell the same."""
    one, other = ([*names.seen(read(library, update), community, ignored)] for library in LIBRARIES)
    assert one == other
    assert {each.community_id for each in one} <= {community(HARBOUR["id"]), community(BOATS["id"])}
    return one


def accounts(update: Json) -> list[tuple[str, str, str | None]]:
    return [(each.id, each.name, each.username) for each in seen(update) if each.kind == "account"]


def test_names__of_a_message() -> None:
    """The chat is a space and a channel, which every member may read. The General topic is one of a forum."""
    place = community(HARBOUR["id"])
    assert seen(tg.message(HARBOUR, ADA, 17)) == [
        Seen("space", place, CHAT, "Harbour", NOON),
        Seen("channel", place, CHAT, "Harbour", NOON, is_public=True),
        Seen("channel", place, f"{CHAT}/1", "General", GENERAL_SINCE, parent_id=CHAT, is_public=True),
        Seen("account", place, str(ADA["id"]), "Ada", NOON, username="ada_tg"),
    ]
    assert [each.kind for each in seen(tg.message(BOATS, BEN, 17))] == ["space", "channel", "account"]


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (tg.message(HARBOUR, {**BEN, "last_name": "Marsh"}, 17), ("42", "Ben Marsh", None)),
        (tg.message(HARBOUR, tg.CHANNEL_BOT, 17, text="x", sender_chat=NEWS), (str(NEWS["id"]), "News", None)),
        (tg.message(HARBOUR, tg.ANONYMOUS_ADMIN, 17, text="x", sender_chat=HARBOUR), (CHAT, "Harbour", None)),
        (tg.reaction(HARBOUR, BEN, 17, [], [tg.thumb()]), ("42", "Ben", None)),
        (tg.reaction(HARBOUR, {**NEWS, "username": "news"}, 17, [], [tg.thumb()]), (str(NEWS["id"]), "News", "news")),
        (tg.membership(HARBOUR, BEN, "left", "member", by=ADA), ("42", "Ben", None)),
    ],
    ids=["full name", "as a channel", "anonymous administrator", "reaction", "reaction as a channel", "join"],
)
def test_names__of_the_account_of_the_event(update: Json, expected: tuple[str, str, str | None]) -> None:
    """The account is the one that the event has as its member."""
    assert accounts(update) == [expected]
    (event,) = mapping.events(read("aiogram", update), community, lambda _: True)
    assert event.member_id == expected[0]


def topics(update: Json) -> list[tuple[str, str, Any]]:
    return [(each.id, each.name, each.seen_at) for each in seen(update) if "/" in each.id and each.name != "General"]


def test_names__of_topics() -> None:
    """Every message in a topic repeats the topic's first name, which must not replace a later one."""
    created = tg.topic(HARBOUR, 5, "Repairs")
    renamed = {"message_thread_id": 5, "is_topic_message": True, "forum_topic_edited": {"name": "Repairs and paint"}}
    assert topics(created) == [(f"{CHAT}/5", "Repairs", NOON)]
    assert topics(tg.message(HARBOUR, ADA, 18, LATER, **renamed)) == [(f"{CHAT}/5", "Repairs and paint", LATER)]
    assert topics(tg.in_topic(created, BEN, 19, LATER)) == [(f"{CHAT}/5", "Repairs", NOON)]
    assert topics(tg.message(HARBOUR, ADA, 20, forum_topic_edited={"icon_custom_emoji_id": "1"})) == []
    general = tg.message(HARBOUR, ADA, 21, LATER, forum_topic_edited={"name": "Lobby"})
    assert topics(general) == [(f"{CHAT}/1", "Lobby", LATER)]


@pytest.mark.parametrize(
    "update",
    [
        tg.message(tg.private(ADA), ADA, 17),
        tg.message(NEWS, None, 17, text="post", sender_chat=NEWS),
        tg.message(NEWS_DIRECT, ADA, 17),
        tg.membership(HARBOUR, tg.OURSELVES, "member", "left"),
        tg.membership(tg.private(ADA), tg.OURSELVES, "left", "member"),
    ],
    ids=["private", "channel", "direct messages", "bot removed", "bot started"],
)
def test_names__of_other_chats_are_not_told(update: Json) -> None:
    """Only groups are communities. When the bot is removed, their names are about to be deleted."""
    assert seen(update) == []


def test_names__of_automatic_forwards_are_not_told() -> None:
    """The linked channel is no member."""
    update = tg.message(HARBOUR, tg.TELEGRAM, 17, text="post", sender_chat=NEWS, is_automatic_forward=True)
    assert accounts(update) == []


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("which", [0, 1])
def test_names__of_a_group_that_became_a_supergroup(library: str, which: int) -> None:
    """Each of the two service messages tells the new id with the former one."""
    update = read(library, tg.migrated(BOATS, BOATS_AFTER)[which])
    migration = mapping.migration(update)
    assert migration is not None
    new_id = str(BOATS_AFTER["id"])
    expected = Seen("space", "boats", new_id, "Boats", NOON, former_id=str(BOATS["id"]))
    assert [*names.moved(migration, update, lambda _: "boats")] == [expected]


def ignoring(*ids: str, moved: dict[int, int] | None = None) -> Callable[..., list[bool]]:
    """Return a function that says which of some updates are ignored. Both libraries must agree."""

    def run(*updates: Json) -> list[bool]:
        found = []
        for library in LIBRARIES:
            ignored = IgnoredChannels(frozenset(ids), (moved or {}).get)
            found.append([ignored.has(read(library, update)) for update in updates])
        assert found[0] == found[1]
        return found[0]

    return run


TOPIC = tg.topic(HARBOUR, 5, "Repairs")
IN_TOPIC = tg.in_topic(TOPIC, BEN, 19)
ELSEWHERE = tg.in_topic(tg.topic(HARBOUR, 6, "Paint"), BEN, 20)
GENERAL = tg.message(HARBOUR, BEN, 21)


def reacted(message_id: int) -> Json:
    return tg.reaction(HARBOUR, ADA, message_id, [], [tg.thumb()])


def test_ignored__chat_is_ignored_with_all_that_happens_there() -> None:
    """Also after the group became a supergroup with another id."""
    there = [tg.message(BOATS, ADA, 1), tg.reaction(BOATS, ADA, 1, [], []), tg.membership(BOATS, BEN, "left", "member")]
    assert ignoring(str(BOATS["id"]))(*there, GENERAL) == [True, True, True, False]
    after = tg.message(BOATS_AFTER, ADA, 1)
    assert ignoring(str(BOATS["id"]), moved={BOATS_AFTER["id"]: BOATS["id"]})(after) == [True]
    assert ignoring()(*there) == [False] * 3


def test_ignored__topic_with_the_reactions_to_its_messages() -> None:
    """Telegram does not tell the topic of a reaction. A message that was not seen may be in the ignored topic."""
    join = tg.membership(HARBOUR, BEN, "left", "member")
    run = ignoring(f"{CHAT}/5")
    assert run(TOPIC, IN_TOPIC, ELSEWHERE, GENERAL, join) == [True, True, False, False, False]
    assert run(IN_TOPIC, ELSEWHERE, GENERAL, *map(reacted, (19, 20, 21, 99)))[3:] == [True, False, False, True]
    assert ignoring(f"{CHAT}/1")(IN_TOPIC, ELSEWHERE, GENERAL, reacted(21)) == [False, False, True, True]
    elsewhere = tg.reaction(BOATS, ADA, 99, [], [tg.thumb()])
    assert run(elsewhere) == [False]


def test_ignored__memory_is_bounded() -> None:
    """A reaction to an older message is ignored."""
    ignored = IgnoredChannels(frozenset([f"{CHAT}/5"]), lambda _: None)
    for number in range(MESSAGES + 1):
        ignored.has(read("aiogram", tg.message(HARBOUR, BEN, number + 1)))
    assert len(ignored._is_ignored) == MESSAGES
    assert [ignored.has(read("aiogram", reacted(number))) for number in (1, 2)] == [True, False]


def test_names__of_ignored_topics_are_left_out() -> None:
    """An update from another topic tells the name of the General topic too."""
    told = [each.id for each in seen(ELSEWHERE, frozenset([f"{CHAT}/1"]))]
    assert told == [CHAT, CHAT, f"{CHAT}/6", "42"]
