"""From discord.py's objects to events. Pure: nothing is looked up but what the objects carry, nothing is remembered.

`community` gives the community_id of a guild's id. Direct messages and system messages give no event.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

import discord

from participation.bots.discord.voice import Seat, Step
from participation.event import ActorKind, Event, EventType

PLATFORM: Final = "discord"

COUNTED: Final = frozenset({discord.MessageType.default, discord.MessageType.reply})
"""What people write. A list of what counts, since Discord adds kinds of system messages and `is_system` misses some."""

Community = Callable[[int], str]


def message(community: Community, sent: discord.Message) -> list[Event]:
    """Return the event of a message in a guild. Its id makes it the same event however often it is told."""
    place = sent.guild.id if sent.guild else getattr(sent.channel, "guild_id", None)
    if place is None or sent.type not in COUNTED:
        return []
    return [
        Event(
            event_type=EventType.MESSAGE_SENT,
            platform=PLATFORM,
            community_id=community(place),
            member_id=str(sent.author.id),
            channel_id=str(sent.channel.id),
            object_id=str(sent.id),
            actor_kind=_author_kind(sent),
            occurred_at=sent.created_at,
            metadata=_parent(sent.channel),
        )
    ]


def reaction(
    community: Community,
    payload: discord.RawReactionActionEvent,
    guild: discord.Guild | None,
    at: datetime,
    *,
    is_author_recorded: bool,
) -> list[Event]:
    """Return the event of a reaction in a guild that was added or removed; Discord does not tell when it was."""
    if payload.guild_id is None:
        return []
    is_added = payload.event_type == "REACTION_ADD"
    author_id = payload.message_author_id if is_added and is_author_recorded else None
    return [
        Event(
            event_type=EventType.REACTION_ADDED if is_added else EventType.REACTION_REMOVED,
            platform=PLATFORM,
            community_id=community(payload.guild_id),
            member_id=str(payload.user_id),
            channel_id=str(payload.channel_id),
            object_id=str(payload.message_id),
            object_author_id=None if author_id is None else str(author_id),
            # The removal names the account only by its id.
            actor_kind=kind(payload.member or (guild.get_member(payload.user_id) if guild else None)),
            occurred_at=at,
            metadata={"emoji": emoji(payload.emoji), **_parent(guild and guild.get_thread(payload.channel_id))},
        )
    ]


def joined(community: Community, member: discord.Member, at: datetime) -> list[Event]:
    """Return the event of a member who has joined; at: when we heard of it, for the rare member without a time."""
    return [_membership(EventType.MEMBER_JOINED, community(member.guild.id), member, member.joined_at or at)]


def left(community: Community, payload: discord.RawMemberRemoveEvent, at: datetime) -> list[Event]:
    """Return the event of a member who has left, was kicked or banned; Discord does not tell when."""
    return [_membership(EventType.MEMBER_LEFT, community(payload.guild_id), payload.user, at)]


def _membership(what: EventType, community_id: str, user: discord.abc.User, at: datetime) -> Event:
    return Event(
        event_type=what,
        platform=PLATFORM,
        community_id=community_id,
        member_id=str(user.id),
        actor_kind=kind(user),
        occurred_at=at,
    )


def voice(community_id: str, steps: Iterable[Step], at: datetime) -> list[Event]:
    """Return the events of what was seen in the voice channels of a guild at one moment."""
    return [
        Event(
            event_type=step.event_type,
            platform=PLATFORM,
            community_id=community_id,
            member_id=str(step.user_id),
            channel_id=str(step.seat.channel_id),
            actor_kind=step.seat.kind,
            occurred_at=at,
        )
        for step in steps
    ]


def seat(guild: discord.Guild, state: discord.VoiceState | None, user: discord.abc.User | None) -> Seat | None:
    """Return where somebody sits according to the library's cache; None for nowhere and for the AFK channel.

    After an outage of the guild the cache still holds who left meanwhile: the new voice states are written over the old
    ones, and none is taken out. But the guild's channels are made anew then, so that an old state points to a channel
    object that is no longer the guild's. This needs nothing of the library's private parts and changes nothing in the
    bot's cache. `VoiceState.afk` holds something else (the library reads `suppress` into it).
    user: whose state it is; without it, nobody can say whether it is a bot, and that must not be guessed.
    """
    channel = state.channel if state else None
    if channel is None or user is None or guild.get_channel(channel.id) is not channel:
        return None
    is_afk = guild.afk_channel is not None and guild.afk_channel.id == channel.id
    return None if is_afk else Seat(channel.id, kind(user))


def seats(guild: discord.Guild) -> dict[int, Seat]:
    """Return who sits where in a guild, by the account's id. Members that the cache does not know are left out."""
    found = {}
    for channel in [*guild.voice_channels, *guild.stage_channels]:
        for user_id, state in channel.voice_states.items():
            if sits := seat(guild, state, guild.get_member(user_id)):
                found[user_id] = sits
    return found


def guild_id(subject: Any) -> int | None:
    """Return the id of the guild that an update is about: a raw update, a member, a channel, or the guild itself."""
    guild = subject if isinstance(subject, discord.Guild) else getattr(subject, "guild", None)
    found: int | None = guild.id if guild else subject.guild_id
    return found


def kind(user: discord.abc.User | None) -> ActorKind:
    """Return what an account is; one that is not known is taken for a person, as most are."""
    return ActorKind.BOT if user is not None and user.bot else ActorKind.USER


def emoji(given: discord.PartialEmoji) -> str:
    """Return a Unicode emoji as it is, and a custom one as its id: its name can change."""
    return given.name if given.id is None else str(given.id)


def _author_kind(sent: discord.Message) -> ActorKind:
    # What an application says in answer to a command carries its own id as the webhook's.
    if sent.webhook_id is not None and sent.webhook_id != sent.application_id:
        return ActorKind.WEBHOOK
    return kind(sent.author)


def _parent(channel: Any) -> dict[str, str]:
    return {"parent_id": str(channel.parent_id)} if isinstance(channel, discord.Thread) else {}
