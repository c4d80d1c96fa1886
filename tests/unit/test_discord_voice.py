"""`Voice` turns observations of members in voice into steps."""

from participation.bots.discord.voice import Seat, Voice
from participation.event import ActorKind, EventType

GUILD, ADA, BEN = 10, 1, 2
HALL, ROOM = Seat(200, ActorKind.USER), Seat(209, ActorKind.USER)

Told = list[tuple[str, int, int]]


def told(steps: object) -> Told:
    assert isinstance(steps, list)
    return [(step.event_type.removeprefix("VOICE_"), step.user_id, step.seat.channel_id) for step in steps]


def test_move__joining_moving_leaving() -> None:
    """A move is a leave of the old channel and a join of the new one."""
    voice = Voice()
    assert told(voice.move(GUILD, ADA, None, HALL)) == [("JOINED", ADA, 200)]
    assert told(voice.move(GUILD, ADA, HALL, ROOM)) == [("LEFT", ADA, 200), ("JOINED", ADA, 209)]
    assert told(voice.move(GUILD, ADA, ROOM, None)) == [("LEFT", ADA, 209)]


def test_move__same_channel_is_no_news() -> None:
    """Muting, streaming or a repeated move gives no step."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert voice.move(GUILD, ADA, HALL, HALL) == []
    assert voice.move(GUILD, ADA, None, HALL) == []
    voice.move(GUILD, ADA, HALL, None)
    assert voice.move(GUILD, ADA, HALL, None) == []


def test_move__to_deafen_and_to_hear_again_is_to_be_present() -> None:
    """Time in voice may count differently from that moment on. A repeated update gives no step."""
    voice, deaf = Voice(), HALL._replace(is_deaf=True)
    voice.move(GUILD, ADA, None, HALL)
    for before, after in ((HALL, deaf), (deaf, HALL)):
        (step,) = voice.move(GUILD, ADA, before, after)
        assert (step.event_type, step.seat) == (EventType.VOICE_PRESENT, after)
        assert voice.move(GUILD, ADA, before, after) == []


def test_move__what_was_seen_goes_before_what_the_library_says() -> None:
    """The library's objects change, so the member leaves the seat that was observed last."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert told(voice.move(GUILD, ADA, ROOM, ROOM)) == [("LEFT", ADA, 200), ("JOINED", ADA, 209)]


def test_move__who_was_not_seen_yet_was_where_the_library_says() -> None:
    """A leave before the first `be_present` gives a step too."""
    assert told(Voice().move(GUILD, ADA, HALL, None)) == [("LEFT", ADA, 200)]


def test_move__kind_of_a_bot() -> None:
    """The step of a bot has the kind `bot`."""
    (step,) = Voice().move(GUILD, 900, None, Seat(200, ActorKind.BOT))
    assert step.seat.kind is ActorKind.BOT


def test_move__guilds_and_members_by_themselves() -> None:
    """Each account has its own seat in each guild."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert told(voice.move(11, ADA, None, HALL)) == [("JOINED", ADA, 200)]
    assert told(voice.move(GUILD, BEN, None, HALL)) == [("JOINED", BEN, 200)]


def test_close__everybody_in_a_deleted_channel_leaves_once() -> None:
    """The voice states after the deletion of a channel give no more steps."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    voice.move(GUILD, BEN, None, ROOM)
    assert told(voice.close(GUILD, 200)) == [("LEFT", ADA, 200)]
    assert voice.move(GUILD, ADA, HALL, None) == []
    assert voice.close(12, 200) == []


def test_be_present__tells_everybody_there_and_drops_who_is_gone() -> None:
    """If a leave was not seen, no leave is invented. The member can join again."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert told(voice.be_present(GUILD, {BEN: ROOM})) == [("PRESENT", BEN, 209)]
    assert told(voice.move(GUILD, ADA, None, HALL)) == [("JOINED", ADA, 200)]
    assert told(voice.move(GUILD, BEN, None, None)) == [("LEFT", BEN, 209)]


def test_be_present__believes_the_cache_about_the_channel() -> None:
    """A member whose move was not seen is present in the new channel, and later leaves the new channel."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    assert told(voice.be_present(GUILD, {ADA: ROOM})) == [("PRESENT", ADA, 209)]
    assert told(voice.move(GUILD, ADA, ROOM, None)) == [("LEFT", ADA, 209)]


def test_be_present__who_was_seen_to_leave_is_no_ghost() -> None:
    """The cache may keep a member who left the guild while in voice. The member is away until a join is seen."""
    voice = Voice()
    voice.move(GUILD, ADA, None, HALL)
    voice.move(GUILD, ADA, HALL, None)
    assert voice.be_present(GUILD, {ADA: HALL}) == []
    assert voice.be_present(GUILD, {ADA: HALL}) == []
    assert told(voice.move(GUILD, ADA, None, ROOM)) == [("JOINED", ADA, 209)]
    assert told(voice.be_present(GUILD, {ADA: ROOM})) == [("PRESENT", ADA, 209)]


def test_be_present__keeps_nothing_of_who_left() -> None:
    """Members who left are forgotten at the next `be_present`, so the list does not grow."""
    voice = Voice()
    for user_id in range(100):
        voice.move(GUILD, user_id, HALL, None)
    voice.be_present(GUILD, {})
    assert voice._guilds == {GUILD: {}}


def test_forget__next_observation_starts_anew() -> None:
    """After an outage, members who were in voice do not join again, and forgotten members do not leave."""
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
