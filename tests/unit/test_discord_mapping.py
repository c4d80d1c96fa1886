"""discord.py's objects become events. discord.py itself creates the objects from the gateway's payloads."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import discord
import pytest

from participation.bots.discord import mapping
from participation.bots.discord.deduplication import REACTIONS, GatewaySequence, LatestReactions
from participation.bots.discord.voice import Seat
from participation.event import ActorKind, Event
from tests.standins import discord_payloads as shapes
from tests.standins.discord import BOT
from tests.standins.discord_payloads import Channel, Guild, User

ADA, BEN, ROBOT = User(1, "ada"), User(2, "ben"), User(3, "robot", is_bot=True)
NOON = datetime(2026, 3, 10, 12, 0, 0, 123_000, tzinfo=UTC)
HEARD_AT = NOON + timedelta(seconds=7)
GENERAL, THREAD, FORUM, POST, HALL, ROOM, STAGE = 100, 110, 120, 121, 200, 209, 300


def guild() -> Guild:
    channels = [
        *(Channel(GENERAL, shapes.TEXT), Channel(FORUM, shapes.FORUM), Channel(STAGE, shapes.STAGE)),
        *(Channel(HALL, shapes.VOICE), Channel(ROOM, shapes.VOICE)),
        *(Channel(THREAD, shapes.PUBLIC_THREAD, GENERAL), Channel(POST, shapes.PUBLIC_THREAD, FORUM)),
    ]
    return Guild(10, {user.id: user for user in (ADA, BEN, ROBOT, BOT)}, {each.id: each for each in channels})


class Library(discord.Client):
    """discord.py without a connection. It reads the gateway's payloads, and keeps what it dispatches."""

    def __init__(self, of: Guild | None = None) -> None:
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        intents = discord.Intents.default() | discord.Intents(members=True)
        super().__init__(intents=intents, chunk_guilds_at_startup=False)
        self._connection.user = discord.ClientUser(state=self._connection, data=cast(Any, BOT.payload()))
        if of:
            self.tell("GUILD_CREATE", of.payload(all_members=True))

    def dispatch(self, event: str, /, *arguments: Any, **_: Any) -> None:
        self.heard.append((event, arguments))

    def tell(self, kind: str, data: dict[str, Any]) -> Any:
        """Let the library read an update, and return the first object that it dispatches."""
        self.heard.clear()
        self._connection.parsers[kind](data)
        return self.heard[0][1][0]


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(guild())


def community(guild_id: int) -> str:
    return f"community-{guild_id}"


def message(library: Library, channel_id: int = GENERAL, author: User = ADA, **more: Any) -> list[Event]:
    guild_id = more.pop("guild_id", 10)
    data = shapes.message(guild_id, channel_id, author, NOON, **more)
    return mapping.message(community, library.tell("MESSAGE_CREATE", data))


def test_message__all_fields(library: Library) -> None:
    """The event has the message's id, and the time in its id."""
    data = shapes.message(10, GENERAL, ADA, NOON)
    (event,) = mapping.message(community, library.tell("MESSAGE_CREATE", data))
    assert event.model_dump(mode="json", exclude_none=True) == {
        "event_type": "MESSAGE_SENT",
        "platform": "discord",
        "community_id": "community-10",
        "member_id": "1",
        "channel_id": "100",
        "object_id": data["id"],
        "actor_kind": "user",
        "occurred_at": "2026-03-10T12:00:00.123000Z",
        "metadata": {},
    }


@pytest.mark.parametrize("kind", [*range(60), 1000])
def test_message__only_what_people_write_counts(library: Library, kind: int) -> None:
    """Joins, pins, boosts, thread starters, answers to commands, and unknown types give no event."""
    assert len(message(library, type=kind)) == (1 if kind in {0, 19} else 0)


@pytest.mark.parametrize(
    ("author", "more", "kind"),
    [
        (ADA, {}, ActorKind.USER),
        (ROBOT, {}, ActorKind.BOT),
        (ROBOT, {"webhook_id": "77"}, ActorKind.WEBHOOK),
        (ADA, {"webhook_id": "77"}, ActorKind.WEBHOOK),
        (ROBOT, {"webhook_id": "77", "application_id": "78"}, ActorKind.WEBHOOK),
        (ROBOT, {"webhook_id": "77", "application_id": "77"}, ActorKind.BOT),
    ],
)
def test_message__who_wrote_it(library: Library, author: User, more: dict[str, Any], kind: ActorKind) -> None:
    """If the webhook id is the application's id, a bot has answered a command, so the kind is `bot`."""
    (event,) = message(library, author=author, **more)
    assert event.actor_kind is kind


def test_message__direct_ones_are_ignored(library: Library) -> None:
    """Direct messages are not recorded."""
    assert message(library, guild_id=None) == []


@pytest.mark.parametrize(("channel_id", "parent_id"), [(THREAD, "100"), (POST, "120"), (HALL, None)])
def test_message__threads_and_posts_name_their_parent(library: Library, channel_id: int, parent_id: str | None) -> None:
    """The channel is the thread or the post itself. The text chat of a voice channel has no parent."""
    (event,) = message(library, channel_id)
    assert event.channel_id == str(channel_id)
    assert event.metadata == ({} if parent_id is None else {"parent_id": parent_id})


def test_message__guild_that_the_library_does_not_know() -> None:
    """Without the intent `guilds`, the library knows no guilds, but the message has the guild's id."""
    (event,) = message(Library())
    assert event.community_id == "community-10"


def reaction(library: Library, kind: str, **more: Any) -> Any:
    data = {
        "user_id": "1",
        "channel_id": str(GENERAL),
        "message_id": "5000",
        "guild_id": "10",
        "emoji": {"id": None, "name": "👍"},
        "burst": False,
        "type": 0,
    }
    return library.tell(f"MESSAGE_REACTION_{kind}", data | more)


def map_reaction(library: Library, kind: str, *, is_author_recorded: bool = True, **more: Any) -> list[Event]:
    payload = reaction(library, kind, **more)
    known = library.get_guild(10)
    return mapping.reaction(community, payload, known, HEARD_AT, is_author_recorded=is_author_recorded)


def test_reaction__all_fields(library: Library) -> None:
    """Both events have the time of receipt. Only the added reaction has the message's author."""
    (added,) = map_reaction(library, "ADD", member=guild().member(ADA), message_author_id="2")
    (removed,) = map_reaction(library, "REMOVE")
    expected = {
        "event_type": "REACTION_ADDED",
        "platform": "discord",
        "community_id": "community-10",
        "member_id": "1",
        "channel_id": "100",
        "object_id": "5000",
        "object_author_id": "2",
        "actor_kind": "user",
        "occurred_at": "2026-03-10T12:00:07.123000Z",
        "metadata": {"emoji": "👍"},
    }
    assert added.model_dump(mode="json", exclude_none=True) == expected
    del expected["object_author_id"]
    assert removed.model_dump(mode="json", exclude_none=True) == expected | {"event_type": "REACTION_REMOVED"}


def test_reaction__author_only_if_asked_for(library: Library) -> None:
    """By default the author of the message is not recorded, because Discord forbids profiling relations."""
    (added,) = map_reaction(library, "ADD", message_author_id="2", is_author_recorded=False)
    assert added.object_author_id is None


@pytest.mark.parametrize("name", ["wave", None])
def test_reaction__custom_emoji_is_its_id(library: Library, name: str | None) -> None:
    """A custom emoji is recorded by its id, because it can be renamed, and a deleted one has no name."""
    (removed,) = map_reaction(library, "REMOVE", emoji={"id": "987654321098765432", "name": name})
    assert removed.metadata == {"emoji": "987654321098765432"}


def test_reaction__of_bots(library: Library) -> None:
    """An added reaction has the member. For a removed one, the library's cache says whether it was a bot."""
    (added,) = map_reaction(Library(), "ADD", user_id="3", member=guild().member(ROBOT))
    assert added.actor_kind is ActorKind.USER  # the library does not know the guild, so it drops the member
    (added,) = map_reaction(library, "ADD", user_id="3", member=guild().member(ROBOT))
    assert added.actor_kind is ActorKind.BOT
    (removed,) = map_reaction(library, "REMOVE", user_id="3")
    assert removed.actor_kind is ActorKind.BOT
    (removed,) = map_reaction(library, "REMOVE", user_id="4")
    assert removed.actor_kind is ActorKind.USER


def test_reaction__in_a_thread_names_the_parent(library: Library) -> None:
    """A reaction in a thread has the parent's id, like a message in it."""
    (added,) = map_reaction(library, "ADD", channel_id=str(POST))
    assert added.metadata == {"emoji": "👍", "parent_id": "120"}


def test_reaction__direct_ones_are_ignored(library: Library) -> None:
    """Reactions in direct messages are not recorded."""
    payload = reaction(library, "ADD")
    payload.guild_id = None
    assert mapping.reaction(community, payload, None, HEARD_AT, is_author_recorded=True) == []


def test_members__joined_and_left() -> None:
    """A join has Discord's time, and a leave the time of receipt. Both have the kind of the account."""
    library = Library(guild())
    data = guild().member(User(4, "cleo"), NOON) | {"guild_id": "10"}
    (joined,) = mapping.joined(community, library.tell("GUILD_MEMBER_ADD", data), HEARD_AT)
    library.tell("GUILD_MEMBER_REMOVE", {"guild_id": "10", "user": ROBOT.payload()})
    (left,) = mapping.left(community, library.heard[-1][1][0], HEARD_AT)
    assert [each.model_dump(mode="json", exclude_none=True) for each in (joined, left)] == [
        {
            "event_type": "MEMBER_JOINED",
            "platform": "discord",
            "community_id": "community-10",
            "member_id": "4",
            "actor_kind": "user",
            "occurred_at": "2026-03-10T12:00:00.123000Z",
            "metadata": {},
        },
        {
            "event_type": "MEMBER_LEFT",
            "platform": "discord",
            "community_id": "community-10",
            "member_id": "3",
            "actor_kind": "bot",
            "occurred_at": "2026-03-10T12:00:07.123000Z",
            "metadata": {},
        },
    ]


def test_members__without_a_time_joined_when_we_heard_of_it(library: Library) -> None:
    """Guests of a channel have no joining time, so the time of receipt is used."""
    data = guild().member(User(5, "dora")) | {"guild_id": "10", "joined_at": None}
    (joined,) = mapping.joined(community, library.tell("GUILD_MEMBER_ADD", data), HEARD_AT)
    assert joined.occurred_at == HEARD_AT


def seated(afk: int | None = None) -> Guild:
    truth = guild()
    truth.voice = {ADA.id: HALL, BEN.id: ROOM, ROBOT.id: STAGE}
    truth.afk_channel_id = afk
    return truth


def seats(library: Library) -> dict[int, Seat]:
    known = library.get_guild(10)
    assert known
    return mapping.seats(known)


def test_seats__everybody_in_voice_and_on_stages() -> None:
    """The seats come from the library's cache."""
    assert seats(Library(seated())) == {
        1: Seat(HALL, ActorKind.USER),
        2: Seat(ROOM, ActorKind.USER),
        3: Seat(STAGE, ActorKind.BOT),
    }


def test_seats__afk_is_nowhere() -> None:
    """Only the guild's AFK channel counts as away. A suppressed member on a stage is not away."""
    library = Library(seated(afk=ROOM))
    state = seated().voice_state(ROBOT, STAGE, suppress=True)
    library.tell("VOICE_STATE_UPDATE", state | {"guild_id": "10", "member": guild().member(ROBOT)})
    (_, (_, _, after)) = library.heard[0]
    assert after.afk, "the library reads `suppress` as away"
    assert seats(library) == {1: Seat(HALL, ActorKind.USER), 3: Seat(STAGE, ActorKind.BOT)}


def test_seats__who_left_during_an_outage_is_not_there() -> None:
    """After an outage the library's cache still has members who left. They are not returned."""
    truth = seated()
    library = Library(truth)
    library.tell("GUILD_DELETE", {"id": "10", "unavailable": True})
    truth.voice = {ADA.id: ROOM}
    library.tell("GUILD_CREATE", truth.payload(all_members=True))
    known = library.get_guild(10)
    assert known
    assert {user_id for channel in known.voice_channels for user_id in channel.voice_states} == {1, 2}
    assert seats(library) == {1: Seat(ROOM, ActorKind.USER)}


def test_seats__channel_that_is_not_known_is_nowhere() -> None:
    """A channel that the library does not know counts as no channel."""
    library = Library(seated())
    state = seated().voice_state(ADA, 999) | {"guild_id": "10", "member": guild().member(ADA)}
    library.tell("VOICE_STATE_UPDATE", state)
    assert 1 not in seats(library)


def test_reactions__the_same_twice_is_a_repeat() -> None:
    """For one account, message and emoji, added and removed alternate. The same update twice is a duplicate."""
    reactions = LatestReactions()
    assert not reactions.is_duplicate(5000, 1, "👍", is_added=True)
    assert reactions.is_duplicate(5000, 1, "👍", is_added=True)
    assert not reactions.is_duplicate(5000, 2, "👍", is_added=True)
    assert not reactions.is_duplicate(5000, 1, "🎉", is_added=True)
    assert not reactions.is_duplicate(5001, 1, "👍", is_added=True)
    assert not reactions.is_duplicate(5000, 1, "👍", is_added=False)
    assert reactions.is_duplicate(5000, 1, "👍", is_added=False)
    assert not reactions.is_duplicate(5000, 1, "👍", is_added=True)


def test_reactions__cleared_ones_can_be_added_again() -> None:
    """If a moderator clears reactions, Discord does not name the members, so their reactions are forgotten."""
    reactions = LatestReactions()
    for emoji in "ab":
        reactions.is_duplicate(5000, 1, emoji, is_added=True)
    reactions.forget(5000, "a")
    assert not reactions.is_duplicate(5000, 1, "a", is_added=True)
    assert reactions.is_duplicate(5000, 1, "b", is_added=True)
    reactions.forget(5000)
    assert not reactions.is_duplicate(5000, 1, "b", is_added=True)
    reactions.forget()
    assert not reactions.is_duplicate(5000, 1, "b", is_added=True)


def test_reactions__memory_is_bounded() -> None:
    """The oldest reaction is forgotten. An update makes a reaction the newest."""
    reactions = LatestReactions()
    reactions.is_duplicate(0, 1, "a", is_added=True)
    reactions.is_duplicate(1, 1, "a", is_added=True)
    reactions.is_duplicate(0, 1, "a", is_added=True)
    for message_id in range(2, REACTIONS + 1):
        reactions.is_duplicate(message_id, 1, "a", is_added=True)
    assert len(reactions._latest) == REACTIONS
    assert reactions.is_duplicate(0, 1, "a", is_added=True)
    assert not reactions.is_duplicate(1, 1, "a", is_added=True)


def test_sequence__without_a_connection_nothing_is_a_repeat() -> None:
    """A bot's own tests may dispatch updates without a gateway."""
    sequence = GatewaySequence(Library())
    assert not sequence.is_duplicate("voice_state_update", 10)
    assert not sequence.is_duplicate("voice_state_update", 10)
