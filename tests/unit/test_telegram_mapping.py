"""Telegram's updates become the same events, whichever of the two libraries has read them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiogram.types
import pytest
import telegram

from participation.bots.bot_api import mapping
from participation.bots.bot_api.albums import ALBUMS, Albums
from participation.bots.bot_api.mapping import BotPresence, Migration
from participation.event import ActorKind, Event, EventType, event_id
from participation.platforms.telegram import CONTENT
from tests.standins import telegram_updates as tg
from tests.standins.telegram_updates import (
    ADA,
    BEN,
    BOATS,
    BOATS_AFTER,
    HARBOUR,
    NEWS,
    NEWS_DIRECT,
    NOON,
    OURSELVES,
    ROBOT,
    Json,
)

LIBRARIES = ("aiogram", "telegram")


def read(library: str, update: Json, update_id: int = 1) -> Any:
    """Read the update with the library."""
    if library == "aiogram":
        return aiogram.types.Update.model_validate({"update_id": update_id, **update})
    return telegram.Update.de_json({"update_id": update_id, **update}, None)


def community(chat_id: int) -> str:
    return f"telegram:{chat_id}"


def events(*updates: Json) -> list[Event]:
    """Return the events of the updates. Both libraries must give the same events."""
    found = {}
    for library in LIBRARIES:
        albums = (known := Albums()).is_first, known.first_of
        found[library] = [e for update in updates for e in mapping.events(read(library, update), community, *albums)]
    assert found["aiogram"] == found["telegram"]
    assert [*map(event_id, found["aiogram"])] == [*map(event_id, found["telegram"])]
    return found["aiogram"]


def only(*updates: Json) -> Event:
    (event,) = events(*updates)
    return event


def sent(member: Json, message_id: int, **more: Any) -> Event:
    fields = {"event_type": "MESSAGE_SENT", "member_id": str(member["id"]), "object_id": str(message_id)}
    return in_harbour(**{**fields, **more})


def in_harbour(**fields: Any) -> Event:
    place = {"platform": "telegram", "community_id": "telegram:-1001000000001", "channel_id": "-1001000000001"}
    return Event.model_validate({**place, "occurred_at": NOON, **fields})


# ---- messages ----


def test_message__is_an_event_of_who_sent_it_then_and_there() -> None:
    """The event has the account, the chat, the id and the time of the message. The text is not kept."""
    assert events(tg.message(HARBOUR, ADA, 17)) == [sent(ADA, 17)]


CONTENTS: dict[str, Json] = {
    "text": {"text": "ahoy"},
    "animation": {"animation": tg.file(width=1, height=1, duration=3), "document": tg.file()},
    "audio": {"audio": tg.file(duration=3)},
    "checklist": {"checklist": {"title": "t", "tasks": [{"id": 1, "text": "one"}]}},
    "contact": {"contact": {"phone_number": "1", "first_name": "x"}},
    "dice": {"dice": {"emoji": "🎲", "value": 6}},
    "document": {"document": tg.file()},
    "game": {"game": {"title": "g", "description": "g", "photo": tg.photo()}, "via_bot": ROBOT},
    "invoice": {
        "invoice": {"title": "i", "description": "i", "start_parameter": "s", "currency": "EUR", "total_amount": 1},
        "via_bot": ROBOT,
    },
    "live_photo": {"live_photo": tg.file(width=1, height=1, duration=1), "photo": tg.photo()},
    "location": {"location": {"latitude": 1.0, "longitude": 2.0}},
    "paid_media": {"paid_media": {"star_count": 1, "paid_media": [{"type": "preview"}]}},
    "photo": {"photo": tg.photo(), "caption": "look"},
    "poll": {
        "poll": {
            "id": "p",
            "question": "?",
            "options": [],
            "total_voter_count": 0,
            "is_closed": False,
            "type": "regular",
            "is_anonymous": True,
            "allows_multiple_answers": False,
            "allows_revoting": False,
            "members_only": False,
        }
    },
    "rich_message": {"rich_message": {"blocks": []}},
    "sticker": {
        "sticker": tg.file(type="regular", width=1, height=1, is_animated=False, is_video=False, emoji="⚓"),
    },
    "story": {"story": {"chat": NEWS, "id": 1}},
    "venue": {
        "venue": {"location": {"latitude": 1.0, "longitude": 2.0}, "title": "v", "address": "a"},
        "location": {"latitude": 1.0, "longitude": 2.0},
    },
    "video": {"video": tg.file(width=1, height=1, duration=3)},
    "video_note": {"video_note": tg.file(length=1, duration=9)},
    "voice": {"voice": tg.file(duration=12)},
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_content__whatever_a_person_sends_counts_once(kind: str) -> None:
    """Text, media, polls, locations and all other content are messages."""
    seconds = {"voice": {"duration_seconds": 12}, "video_note": {"duration_seconds": 9}}.get(kind, {})
    assert events(tg.message(HARBOUR, ADA, 17, **CONTENTS[kind])) == [sent(ADA, 17, metadata=seconds)]


@pytest.mark.parametrize("timedelta", ["false", "true"])
def test_duration__is_in_seconds_whatever_the_library_is_set_to(
    timedelta: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """python-telegram-bot returns durations as numbers or as `timedelta`, and warns if they are read as numbers."""
    monkeypatch.setenv("PTB_TIMEDELTA", timedelta)
    assert only(tg.message(HARBOUR, ADA, 17, **CONTENTS["voice"])).metadata == {"duration_seconds": 12}


def test_content__is_told_from_service_messages_for_each_kind() -> None:
    """There is a sample here for each kind of content."""
    assert set(CONTENT) == set(CONTENTS)


GIFT: Json = {"gift": {"id": "g", "sticker": CONTENTS["sticker"]["sticker"], "star_count": 1}}
UNIQUE_GIFT: Json = {
    "gift": {
        "gift_id": "g",
        "base_name": "b",
        "name": "n",
        "number": 1,
        "model": {"name": "m", "sticker": CONTENTS["sticker"]["sticker"], "rarity_per_mille": 1},
        "symbol": {"name": "s", "sticker": CONTENTS["sticker"]["sticker"], "rarity_per_mille": 1},
        "backdrop": {
            "name": "b",
            "colors": {"center_color": 1, "edge_color": 1, "symbol_color": 1, "text_color": 1},
            "rarity_per_mille": 1,
        },
    },
    "origin": "upgrade",
}
PAID: Json = {"currency": "XTR", "total_amount": 1, "invoice_payload": "p", "telegram_payment_charge_id": "c"}
OPTION: Json = {"option_persistent_id": "1", "option_text": "x"}
PRICE: Json = {"price": {"currency": "XTR", "amount": 1}}
LATER = int(NOON.timestamp()) + 3600
BARE_MESSAGE: Json = {"message_id": 3, "date": 1, "chat": HARBOUR}

SERVICE: dict[str, Any] = {
    "boost_added": {"boost_count": 1},
    "channel_chat_created": True,
    "chat_background_set": {"type": {"type": "chat_theme", "theme_name": "🏠"}},
    "chat_owner_changed": {"new_owner": BEN},
    "chat_owner_left": {},
    "chat_shared": {"request_id": 1, "chat_id": 5},
    "checklist_tasks_added": {"tasks": [{"id": 1, "text": "one"}]},
    "checklist_tasks_done": {"marked_as_done_task_ids": [1]},
    "community_chat_added": {"community": {"id": 1, "name": "c"}},
    "community_chat_joined": {"community": {"id": 1, "name": "c"}},
    "community_chat_removed": {},
    "connected_website": "example.org",
    "delete_chat_photo": True,
    "direct_message_price_changed": {"are_direct_messages_enabled": True},
    "forum_topic_closed": {},
    "forum_topic_created": {"name": "n", "icon_color": 7322096},
    "forum_topic_edited": {"name": "n"},
    "forum_topic_reopened": {},
    "general_forum_topic_hidden": {},
    "general_forum_topic_unhidden": {},
    "gift": GIFT,
    "gift_upgrade_sent": GIFT,
    "giveaway": {"chats": [NEWS], "winners_selection_date": LATER, "winner_count": 1},
    "giveaway_completed": {"winner_count": 1},
    "giveaway_created": {},
    "giveaway_winners": {
        "chat": NEWS,
        "giveaway_message_id": 1,
        "winners_selection_date": LATER,
        "winner_count": 1,
        "winners": [BEN],
    },
    "group_chat_created": True,
    "left_chat_member": BEN,
    "managed_bot_created": {"bot": ROBOT},
    "message_auto_delete_timer_changed": {"message_auto_delete_time": 86_400},
    "migrate_from_chat_id": -4001,
    "migrate_to_chat_id": -1_001_000_004_001,
    "new_chat_members": [BEN],
    "new_chat_photo": tg.photo(),
    "new_chat_title": "new",
    "paid_message_price_changed": {"paid_message_star_count": 1},
    "passport_data": {"data": [], "credentials": {"data": "d", "hash": "h", "secret": "s"}},
    "pinned_message": {**BARE_MESSAGE, "text": "pinned text"},
    "poll_option_added": OPTION,
    "poll_option_deleted": OPTION,
    "proximity_alert_triggered": {"traveler": ADA, "watcher": BEN, "distance": 5},
    "refunded_payment": PAID,
    "successful_payment": {**PAID, "provider_payment_charge_id": "q"},
    "suggested_post_approval_failed": PRICE,
    "suggested_post_approved": {"send_date": LATER},
    "suggested_post_declined": {},
    "suggested_post_paid": {"currency": "XTR"},
    "suggested_post_refunded": {"reason": "post_deleted"},
    "supergroup_chat_created": True,
    "unique_gift": UNIQUE_GIFT,
    "user_shared": {"request_id": 1, "user_id": 5},
    "users_shared": {"request_id": 1, "users": [{"user_id": 5}]},
    "video_chat_ended": {"duration": 600},
    "video_chat_participants_invited": {"users": [BEN]},
    "video_chat_scheduled": {"start_date": LATER},
    "video_chat_started": {},
    "web_app_data": {"data": "d", "button_text": "b"},
    "write_access_allowed": {},
}

ENVELOPE = {
    *("message_id", "message_thread_id", "date", "chat", "from_user", "sender_chat", "sender_boost_count"),
    *("sender_business_bot", "sender_tag", "business_connection_id", "forward_origin", "is_topic_message"),
    *("is_automatic_forward", "reply_to_message", "external_reply", "quote", "reply_to_story", "via_bot", "edit_date"),
    *("reply_to_checklist_task_id", "reply_to_poll_option_id", "has_protected_content", "is_from_offline"),
    *("is_paid_post", "media_group_id", "author_signature", "paid_star_count", "entities", "link_preview_options"),
    *("effect_id", "caption", "caption_entities", "show_caption_above_media", "has_media_spoiler", "reply_markup"),
    *("forward_date", "forward_from", "forward_from_chat", "forward_from_message_id", "forward_sender_name"),
    *("forward_signature", "guest_query_id", "guest_bot_caller_user", "guest_bot_caller_chat", "receiver_user"),
    *("ephemeral_message_id", "direct_messages_topic", "suggested_post_info"),
}
"""Fields that describe a message, and are not its content."""


@pytest.mark.filterwarnings("ignore:.*message_auto_delete_time")  # python-telegram-bot, of its own reading
@pytest.mark.parametrize("field", SERVICE)
def test_service_message__never_counts(field: str) -> None:
    """The messages that Telegram itself writes into a group (joins, pins, boosts) do not count."""
    update = tg.message(HARBOUR, ADA, 17, **{field: SERVICE[field]})
    for library in LIBRARIES:
        message = read(library, update).message
        value = getattr(message, field, None)  # {} in an aiogram that does not know the field yet
        assert value is not None or message.api_kwargs[field] is not None, "the sample is not read"
    assert events(update) == []


def test_fields__each_of_a_message_is_known_as_content_service_or_neither() -> None:
    """A field that a new version of a library adds must be added to one of the lists here."""
    known = {*CONTENTS, *SERVICE, *ENVELOPE}
    assert set(aiogram.types.Message.model_fields) <= known
    slots = {name for kind in telegram.Message.__mro__ for name in getattr(kind, "__slots__", ())}
    public = {name for name in slots if not name.startswith("_")}
    assert public - {"api_kwargs"} <= known


@pytest.mark.parametrize(
    "update",
    [
        tg.message(tg.private(ADA), ADA, 17),
        tg.message(NEWS, None, 17, text="post", sender_chat=NEWS),
        tg.edited(tg.message(HARBOUR, ADA, 17), NOON, "better"),
        {"channel_post": tg.message(NEWS, None, 17)["message"]},
        {"edited_channel_post": tg.message(NEWS, None, 17)["message"]},
        {"business_message": tg.message(HARBOUR, ADA, 17)["message"]},
        {"guest_message": tg.message(HARBOUR, ADA, 17)["message"]},
        tg.message(HARBOUR, None, 17),
        tg.message(HARBOUR, ADA, 0),
        tg.message(HARBOUR, ADA, 0, text="only for you", receiver_user=BEN, ephemeral_message_id=3),
        tg.message(HARBOUR, tg.TELEGRAM, 17, text="post", sender_chat=NEWS, is_automatic_forward=True),
    ],
    ids=[
        *("private chat", "channel", "edit", "channel post", "edited post", "business", "guest", "no sender"),
        *("not sent yet", "ephemeral", "automatic forward"),
    ],
)
def test_other_messages__do_not_count(update: Json) -> None:
    """Private chats, channels, edits, and messages that not everybody in the group can see do not count."""
    assert events(update) == []


@pytest.mark.parametrize(
    ("sender", "sender_chat", "member", "kind"),
    [
        (ADA, None, ADA, ActorKind.USER),
        (ROBOT, None, ROBOT, ActorKind.BOT),
        (tg.ANONYMOUS_ADMIN, HARBOUR, HARBOUR, ActorKind.ANONYMOUS),
        (tg.CHANNEL_BOT, NEWS, NEWS, ActorKind.ANONYMOUS),
    ],
    ids=["person", "bot", "anonymous administrator", "as a channel"],
)
def test_sender__is_a_person_a_bot_or_a_chat(sender: Json, sender_chat: Json | None, member: Json, kind: str) -> None:
    """A member who speaks as a chat is recorded as that chat, and not as the account that all such members share."""
    more: Json = {} if sender_chat is None else {"sender_chat": sender_chat}
    assert events(tg.message(HARBOUR, sender, 17, text="x", **more)) == [sent(member, 17, actor_kind=kind)]


def test_via_bot__was_sent_by_the_person() -> None:
    """An inline result is a message of the person who chose it."""
    assert only(tg.message(HARBOUR, ADA, 17, text="x", via_bot=ROBOT)) == sent(ADA, 17)


def test_forward__is_sent_by_who_forwards() -> None:
    """A message that a person forwards counts for that person."""
    origin = {"type": "user", "date": 1, "sender_user": BEN}
    assert only(tg.message(HARBOUR, ADA, 17, text="x", forward_origin=origin)) == sent(ADA, 17)


def test_topic__only_where_the_message_is_in_one() -> None:
    """Replies in groups without topics have a thread id too, but it is not a topic."""
    in_topic = tg.message(HARBOUR, ADA, 17, text="x", message_thread_id=5, is_topic_message=True)
    reply = tg.message(HARBOUR, ADA, 18, text="x", message_thread_id=5)
    assert [event.metadata for event in events(in_topic, reply)] == [{"topic_id": "5"}, {}]


TOPIC = tg.topic(HARBOUR, 5, "Repairs")


def test_reply__is_to_the_message_that_is_answered() -> None:
    """In a topic, every message refers to the topic's first one. A forward answers none, nor does what is elsewhere."""
    answered = tg.message(HARBOUR, ADA, 17)["message"]
    origin = {"type": "user", "date": 1, "sender_user": BEN}
    updates = [
        tg.message(HARBOUR, BEN, 18, text="x", reply_to_message=answered),
        tg.in_topic(TOPIC, BEN, 19),
        tg.in_topic(TOPIC, BEN, 20, text="x", reply_to_message=answered),
        tg.in_topic(TOPIC, BEN, 21, text="x", reply_to_message=tg.message(HARBOUR, ADA, 5)["message"]),
        tg.message(HARBOUR, BEN, 22, text="x", forward_origin=origin),
        tg.message(HARBOUR, BEN, 23, text="x", external_reply={"origin": origin, "chat": BOATS, "message_id": 17}),
    ]
    found = [event.metadata for event in events(*updates)]
    in_topic = {"topic_id": "5"}
    assert found == [{"reply_to": "17"}, in_topic, {"reply_to": "17", **in_topic}, in_topic, {}, {}]


def test_reply__to_an_album_is_to_its_first_message() -> None:
    """If the first message is not known, the reply is to the message itself, which is not taken for the first one."""
    pictures = album(20, 3)
    answers = [
        tg.message(HARBOUR, BEN, 30 + number, text="x", reply_to_message=picture["message"])
        for number, picture in enumerate(pictures)
    ]
    assert [event.metadata for event in events(*pictures, *answers)[1:]] == [{"reply_to": "20"}] * 3
    unknown, first = events(answers[1], *pictures)
    assert (unknown.metadata, first.object_id) == ({"reply_to": "21"}, "20")


def test_ids__of_two_chats_do_not_meet() -> None:
    """Each chat has message ids of its own. The same id in another chat is another message."""
    one, other = events(tg.message(HARBOUR, ADA, 17), tg.message(BOATS, ADA, 17))
    assert (one.object_id, one.channel_id) == ("17", "-1001000000001")
    assert (other.object_id, other.channel_id) == ("17", "-4001")
    mapped = [
        next(
            mapping.events(
                read("aiogram", tg.message(chat, ADA, 17)), lambda _: "harbour", Albums().is_first, Albums().first_of
            )
        )
        for chat in (HARBOUR, BOATS)
    ]
    assert len({*map(event_id, mapped)}) == 2


def test_time__is_utc_whatever_the_library_makes_of_it() -> None:
    """The event has the time of the update, in UTC."""
    assert only(tg.message(HARBOUR, ADA, 17)).occurred_at == datetime(2026, 3, 10, 12, tzinfo=UTC)


# ---- albums ----


def album(first: int, count: int, at: datetime = NOON, media_group_id: str = "13379") -> list[Json]:
    return [
        tg.message(HARBOUR, ADA, first + number, at, photo=tg.photo(), media_group_id=media_group_id)
        for number in range(count)
    ]


def test_album__is_its_first_message() -> None:
    """Telegram sends an album as several messages. The first one counts, and is an event like any other message."""
    assert events(*album(20, 4)) == [sent(ADA, 20)]
    assert event_id(only(*album(20, 4))) == event_id(only(tg.message(HARBOUR, ADA, 20)))


def test_album__another_one_or_in_another_chat_is_another_message() -> None:
    """The id of an album is unique only within its chat."""
    elsewhere = tg.message(BOATS, ADA, 20, photo=tg.photo(), media_group_id="13379")
    found = events(*album(20, 2), *album(22, 2, media_group_id="13380"), elsewhere)
    assert [event.object_id for event in found] == ["20", "22", "20"]
    assert len({*map(event_id, found)}) == 3


def test_album__delivered_again_is_the_same_event() -> None:
    """The same message counts for the album again."""
    found = events(*album(20, 3), *album(20, 3))
    assert [event.object_id for event in found] == ["20", "20"]
    assert len({*map(event_id, found)}) == 1


def test_album__sent_over_a_change_of_the_second_is_one_event() -> None:
    """The messages of an album can have different times. The album has the time of the first one."""
    assert events(*album(20, 2), *album(22, 2, NOON + timedelta(seconds=1))) == [sent(ADA, 20)]


def test_albums__memory_is_bounded() -> None:
    """Old albums are forgotten."""
    albums = Albums()
    for number in range(ALBUMS + 10):
        update = tg.message(HARBOUR, ADA, number + 1, photo=tg.photo(), media_group_id=str(number))
        assert albums.is_first(read("aiogram", update).message)
    assert len(albums.first) == ALBUMS
    assert f"{HARBOUR['id']}/{ALBUMS + 9}" in albums.first


def test_album__of_service_messages_there_is_none() -> None:
    """A service message does not count for an album."""
    service = tg.message(HARBOUR, ADA, 19, new_chat_title="x", media_group_id="13379")
    assert [event.object_id for event in events(service, *album(20, 2))] == ["20"]


# ---- reactions ----


def reactions(*updates: Json) -> list[tuple[str, str]]:
    return [(event.event_type.removeprefix("REACTION_"), event.metadata["emoji"]) for event in events(*updates)]


HEART, FIRE, CUSTOM, STAR = tg.thumb("❤"), tg.thumb("🔥"), tg.custom("5368324170671202286"), {"type": "paid"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [HEART], [("ADDED", "❤")]),
        ([HEART], [], [("REMOVED", "❤")]),
        ([HEART], [FIRE], [("REMOVED", "❤"), ("ADDED", "🔥")]),
        ([HEART], [HEART, FIRE, CUSTOM], [("ADDED", "🔥"), ("ADDED", "5368324170671202286")]),
        ([HEART, FIRE], [FIRE, HEART], []),
        ([HEART, HEART], [HEART], [("REMOVED", "❤")]),
        ([], [STAR], [("ADDED", "paid")]),
        ([], [], []),
    ],
)
def test_reactions__are_the_difference_of_the_two_lists(
    old: list[Json], new: list[Json], expected: list[tuple[str, str]]
) -> None:
    """Telegram sends the old and the new list. Reactions in both lists have not changed."""
    assert reactions(tg.reaction(HARBOUR, ADA, 17, old, new)) == expected


def test_reaction__is_on_the_message_that_its_own_event_names() -> None:
    """The object id of a reaction is the message's, in the same channel."""
    event = only(tg.reaction(HARBOUR, BEN, 17, [], [HEART]))
    message = only(tg.message(HARBOUR, ADA, 17))
    assert (event.channel_id, event.object_id) == (message.channel_id, message.object_id)
    fields = {"event_type": EventType.REACTION_ADDED, "member_id": "42", "object_id": "17", "metadata": {"emoji": "❤"}}
    assert event == in_harbour(**fields)


@pytest.mark.parametrize(("who", "kind"), [(ADA, ActorKind.USER), (ROBOT, ActorKind.BOT), (NEWS, ActorKind.ANONYMOUS)])
def test_reaction__of_an_account_or_in_the_name_of_a_chat(who: Json, kind: ActorKind) -> None:
    """A member who reacts as a chat is recorded as that chat."""
    event = only(tg.reaction(HARBOUR, who, 17, [], [HEART]))
    assert (event.member_id, event.actor_kind) == (str(who["id"]), kind)


def test_reactions__of_nobody_or_elsewhere_do_not_count() -> None:
    """Counts of anonymous reactions name nobody. Private chats and channels are not communities."""
    count = {"chat": HARBOUR, "message_id": 1, "date": 1, "reactions": [{"type": HEART, "total_count": 3}]}
    nameless = tg.reaction(HARBOUR, ADA, 17, [], [HEART])
    del nameless["message_reaction"]["user"]
    private = tg.reaction(tg.private(ADA), ADA, 17, [], [HEART])
    assert events({"message_reaction_count": count}, nameless, private, tg.reaction(NEWS, ADA, 1, [], [HEART])) == []


# ---- members ----

IN, OUT = ("creator", "administrator", "member", "restricted+"), ("left", "kicked", "restricted-")


@pytest.mark.parametrize("old", [*IN, *OUT])
@pytest.mark.parametrize("new", [*IN, *OUT])
def test_membership__changes_only_where_somebody_comes_or_goes(old: str, new: str) -> None:
    """A restricted account is a member if `is_member` is true. A change of rights is not a join or a leave."""
    expected = {(False, True): ["MEMBER_JOINED"], (True, False): ["MEMBER_LEFT"]}.get((old in IN, new in IN), [])
    assert [event.event_type for event in events(tg.membership(HARBOUR, BEN, old, new))] == expected


def test_membership__is_of_who_it_is_about_and_not_of_who_did_it() -> None:
    """If an administrator bans a member, the event is about the member."""
    update = tg.membership(HARBOUR, BEN, "member", "kicked")
    update["chat_member"]["from"] = ADA
    assert only(update) == in_harbour(event_type="MEMBER_LEFT", member_id="42", metadata={"reason": "banned"})


LINK: Json = {
    "invite_link": "https://t.me/+secret",
    "creator": ADA,
    "creates_join_request": False,
    "is_primary": False,
    "is_revoked": False,
}


@pytest.mark.parametrize(
    ("more", "metadata"),
    [
        ({}, {}),
        ({"invite_link": LINK}, {}),
        ({"invite_link": {**LINK, "name": "spring fair"}}, {"invite": "spring fair"}),
        ({"invite_link": {**LINK, "creates_join_request": True}}, {"invite": "request"}),
        ({"via_join_request": True}, {"invite": "request"}),
    ],
)
def test_join__says_by_which_invite(more: Json, metadata: Json) -> None:
    """The name of the link says where the member came from. The link itself would let others in."""
    event = only(tg.membership(HARBOUR, BEN, "left", "member", **more))
    assert event.metadata == metadata
    assert "secret" not in event.model_dump_json()


@pytest.mark.parametrize(
    ("new", "by", "reason"),
    [("left", BEN, "left"), ("restricted-", BEN, "left"), ("left", ADA, "kicked"), ("kicked", ADA, "banned")],
)
def test_leave__says_the_reason(new: str, by: Json, reason: str) -> None:
    """Who left was removed by somebody else, was banned, or went."""
    assert only(tg.membership(HARBOUR, BEN, "member", new, by=by)).metadata == {"reason": reason}


def test_membership__of_another_bot_is_one_of_a_bot() -> None:
    """Joins of other bots are recorded with the kind `bot`."""
    assert only(tg.membership(HARBOUR, ROBOT, "left", "member")).actor_kind == ActorKind.BOT


def test_membership__in_a_channel_does_not_count() -> None:
    """Subscribers of a channel are not members of a community."""
    assert events(tg.membership(NEWS, BEN, "left", "member")) == []


def test_membership__of_the_bot_itself_is_no_event() -> None:
    """It is a change of the bot's presence instead."""
    update = tg.membership(HARBOUR, OURSELVES, "left", "member")
    assert events(update) == []
    for library in LIBRARIES:
        expected = BotPresence(HARBOUR["id"], OURSELVES["id"], True, False, NOON)
        assert mapping.presence(read(library, update)) == expected


@pytest.mark.parametrize(
    ("status", "is_present", "is_administrator"),
    [
        ("creator", True, True),
        ("administrator", True, True),
        ("member", True, False),
        ("restricted+", True, False),
        ("restricted-", False, False),
        ("left", False, False),
        ("kicked", False, False),
    ],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_presence__by_the_bots_status(library: str, status: str, is_present: bool, is_administrator: bool) -> None:
    """The status says whether the bot is in the group, and whether it is an administrator."""
    found = mapping.presence(read(library, tg.membership(HARBOUR, OURSELVES, "left", status)))
    assert found is not None
    assert (found.is_present, found.is_administrator) == (is_present, is_administrator)


@pytest.mark.parametrize("library", LIBRARIES)
def test_presence__is_told_of_groups_only(library: str) -> None:
    """Stopping the bot in a private chat, or adding it to a channel, does not change its presence."""
    for chat in (tg.private(ADA), NEWS):
        assert mapping.presence(read(library, tg.membership(chat, OURSELVES, "member", "kicked"))) is None


# ---- chats ----


@pytest.mark.parametrize("library", LIBRARIES)
def test_direct_messages__to_a_channel_are_no_community(library: str) -> None:
    """They are a supergroup, but private. A library that does not know the field keeps it among the unknown ones."""
    updates = [
        tg.message(NEWS_DIRECT, ADA, 17, text="for the channel only", direct_messages_topic={"topic_id": 7}),
        tg.reaction(NEWS_DIRECT, ADA, 17, [], [HEART]),
        tg.membership(NEWS_DIRECT, BEN, "left", "member"),
        tg.membership(NEWS_DIRECT, OURSELVES, "left", "administrator"),
    ]
    assert events(*updates) == []
    for update in (read(library, update) for update in updates):
        assert mapping.presence(update) is None
        assert mapping.group_id(update) is None


@pytest.mark.parametrize("library", LIBRARIES)
def test_migration__is_told_in_the_old_chat_and_in_the_new_one(library: str) -> None:
    """Both messages have the same ids, so one of them is enough."""
    expected = Migration(BOATS["id"], BOATS_AFTER["id"], NOON)
    assert [mapping.migration(read(library, update)) for update in tg.migrated(BOATS, BOATS_AFTER)] == [expected] * 2
    assert mapping.migration(read(library, tg.message(BOATS, ADA, 17))) is None


@pytest.mark.parametrize("library", LIBRARIES)
def test_group__is_where_the_update_comes_from(library: str) -> None:
    """Every update from a group shows that the bot is in it."""
    from_group = [
        tg.message(HARBOUR, ADA, 17),
        tg.reaction(HARBOUR, ADA, 17, [], [HEART]),
        tg.membership(HARBOUR, BEN, "left", "member"),
    ]
    assert {mapping.group_id(read(library, update)) for update in from_group} == {HARBOUR["id"]}
    for update in (tg.message(tg.private(ADA), ADA, 1), {"channel_post": tg.message(NEWS, None, 1)["message"]}):
        assert mapping.group_id(read(library, update)) is None


def everything() -> Iterator[Json]:
    yield tg.message(HARBOUR, ADA, 17)
    yield from album(20, 3)
    yield tg.reaction(HARBOUR, BEN, 17, [HEART], [FIRE, CUSTOM])
    yield tg.membership(HARBOUR, BEN, "left", "member")


@pytest.mark.parametrize("library", LIBRARIES)
def test_redelivered__with_other_update_ids_after_a_restart_is_the_same(library: str) -> None:
    """An event does not depend on the update's id, the time of delivery, or earlier updates."""

    def identities(first_id: int) -> list[Any]:
        albums = (known := Albums()).is_first, known.first_of
        updates = (read(library, update, number) for number, update in enumerate(everything(), first_id))
        return [event_id(event) for update in updates for event in mapping.events(update, community, *albums)]

    first = identities(1)
    assert len({*first}) == 6
    assert identities(1_000) == first
