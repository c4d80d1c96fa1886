"""Voice: what was seen comes in, what has happened comes out."""

from participation.bots.discord.voice import Seat, Voice
from participation.event import ActorKind, EventType

GUILD, ADA, BEN = 10, 1, 2
HALL, ROOM = Seat(200, ActorKind.USER), Seat(209, ActorKind.USER)

Told = list[tuple[str, int, int]]


def told(steps: object) -> Told:
    assert isinstance(steps, list)
    return [(step.event_type.removeprefix("VOICE_"), step.user_id, step.seat.channel_id) for step in steps]


def test_move__joining_moving_leaving() -> None:
    """A move leaves the old channel and joins the new one."""
    voice = Voice()
    assert told(voice.move(GUILD, ADA, None, HALL)) == [("JOINED", ADA, 200)]
    assert told(voice.move(GUILD, ADA, HALL, ROOM)) == [("LEFT", ADA, 200), ("JOINED", ADA, 209)]
    assert told(voice.move(GUILD, ADA, ROOM, None)) == [("LEFT", ADA, 209)]


def test_move__same_channel_is_no_news() -> None:
    """To mute, deafen, stream, or to be told of the same move again, is no transition."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert voice.move(GUILD, ADA, HALL, HALL) == []
    assert voice.move(GUILD, ADA, None, HALL) == []
    voice.move(GUILD, ADA, HALL, None)
    assert voice.move(GUILD, ADA, HALL, None) == []


def test_move__what_was_seen_goes_before_what_the_library_says() -> None:
    """The objects of the library change under the hand: the seat that was seen last is the one that is left."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert told(voice.move(GUILD, ADA, ROOM, ROOM)) == [("LEFT", ADA, 200), ("JOINED", ADA, 209)]


def test_move__who_was_not_seen_yet_was_where_the_library_says() -> None:
    """A leave before the first look at the cache is told all the same."""
    assert told(Voice().move(GUILD, ADA, HALL, None)) == [("LEFT", ADA, 200)]


def test_move__kind_of_a_bot() -> None:
    """A bot that plays music is a bot."""
    (step,) = Voice().move(GUILD, 900, None, Seat(200, ActorKind.BOT))
    assert step.seat.kind is ActorKind.BOT


def test_move__guilds_and_members_by_themselves() -> None:
    """The same account sits in each guild by itself."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert told(voice.move(11, ADA, None, HALL)) == [("JOINED", ADA, 200)]
    assert told(voice.move(GUILD, BEN, None, HALL)) == [("JOINED", BEN, 200)]


def test_close__everybody_in_a_deleted_channel_leaves_once() -> None:
    """The voice states that follow the deletion of a channel tell nothing new."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    voice.move(GUILD, BEN, None, ROOM)
    assert told(voice.close(GUILD, 200)) == [("LEFT", ADA, 200)]
    assert voice.move(GUILD, ADA, HALL, None) == []
    assert voice.close(12, 200) == []


def test_be_present__tells_everybody_there_and_drops_who_is_gone() -> None:
    """Nobody saw when somebody left, so no leave is made up; and they can join again."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert told(voice.be_present(GUILD, {BEN: ROOM})) == [("PRESENT", BEN, 209)]
    assert told(voice.move(GUILD, ADA, None, HALL)) == [("JOINED", ADA, 200)]
    assert told(voice.move(GUILD, BEN, None, None)) == [("LEFT", BEN, 209)]


def test_be_present__believes_the_cache_about_the_channel() -> None:
    """Who was moved unseen is present in the new channel, and leaves that one."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert told(voice.be_present(GUILD, {ADA: ROOM})) == [("PRESENT", ADA, 209)]
    assert told(voice.move(GUILD, ADA, ROOM, None)) == [("LEFT", ADA, 209)]


def test_be_present__who_was_seen_to_leave_is_no_ghost() -> None:
    """The cache may keep a member who left the guild while in voice, for ever: until they join again they are away."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    voice.move(GUILD, ADA, HALL, None)
    assert voice.be_present(GUILD, {ADA: HALL}) == []
    assert voice.be_present(GUILD, {ADA: HALL}) == []
    assert told(voice.move(GUILD, ADA, None, ROOM)) == [("JOINED", ADA, 209)]
    assert told(voice.be_present(GUILD, {ADA: ROOM})) == [("PRESENT", ADA, 209)]


def test_be_present__keeps_nothing_of_who_left() -> None:
    """What is remembered of those who left does not grow for ever."""
    voice = Voice()
    for user_id in range(100):
        voice.move(GUILD, user_id, HALL, None)
    voice.be_present(GUILD, {})
    assert voice._guilds == {GUILD: {}}


def test_forget__next_observation_starts_anew() -> None:
    """After an outage nobody joins who was there before, and nobody leaves who was forgotten."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    voice.move(11, ADA, None, HALL)
    voice.forget(GUILD)
    assert told(voice.be_present(GUILD, {BEN: HALL})) == [("PRESENT", BEN, 200)]
    assert voice.move(GUILD, ADA, None, None) == []
    voice.forget()
    assert voice.move(11, ADA, None, None) == []
    voice.forget()
    assert [step.event_type for step in voice.be_present(11, {ADA: HALL})] == [EventType.VOICE_PRESENT]
