"""Turns discord.py's objects into events. The functions only read the objects, and remember nothing.

`community` returns the community_id for a guild's id. Direct messages and system messages are not recorded.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import discord

from participation.bots.discord import channels
from participation.bots.discord.voice import Seat, Step
from participation.event import ActorKind, Event, EventType
from participation.platforms import discord as platform
from participation.platforms.discord import PLATFORM

Community = Callable[[int], str]


def message(community: Community, sent: discord.Message) -> list[Event]:
    """Return the event of a message in a guild. A repeated update gives the same event, because the id is the same."""
    place = sent.guild.id if sent.guild else getattr(sent.channel, "guild_id", None)
    if place is None or sent.type.value not in platform.COUNTED_TYPES:
        return []
    return [
        Event(
            event_type=EventType.MESSAGE_SENT,
            platform=PLATFORM,
            community_id=community(place),
            member_id=str(sent.author.id),
            channel_id=str(sent.channel.id),
            object_id=str(sent.id),
            actor_kind=platform.author_kind(sent.webhook_id, sent.application_id, is_bot=sent.author.bot),
            occurred_at=sent.created_at,
            metadata={**_reply(sent), **channels.place(sent.channel)},
        )
    ]


def _reply(sent: discord.Message) -> dict[str, str]:
    """Return the id of the message that this one answers. Forwards and crossposts refer to a message, too."""
    to = sent.reference
    if to is None or to.message_id is None or to.channel_id != sent.channel.id or to.type.value == platform.FORWARD:
        return {}
    return {"reply_to": str(to.message_id)}


def reaction(
    community: Community,
    payload: discord.RawReactionActionEvent,
    guild: discord.Guild | None,
    at: datetime,
    *,
    is_author_recorded: bool,
) -> list[Event]:
    """Return the event of a reaction that was added or removed in a guild.

    at: when the update was received, because Discord sends no time.
    """
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
            # When a reaction is removed, Discord sends only the account's id.
            actor_kind=kind(payload.member or (guild.get_member(payload.user_id) if guild else None)),
            occurred_at=at,
            metadata={
                "emoji": emoji(payload.emoji),
                **channels.place(guild and guild.get_channel_or_thread(payload.channel_id)),
            },
        )
    ]


def joined(community: Community, member: discord.Member, at: datetime) -> list[Event]:
    """Return the event of a member who joined. at: when the update was received, for members without a joining time."""
    return [_membership(EventType.MEMBER_JOINED, community(member.guild.id), member, member.joined_at or at)]


def left(community: Community, payload: discord.RawMemberRemoveEvent, at: datetime) -> list[Event]:
    """Return the event of a member who left or was kicked or banned.

    at: when the update was received, because Discord sends no time.
    """
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
    """Return one event for each step in voice, all with the same time."""
    return [
        Event(
            event_type=step.event_type,
            platform=PLATFORM,
            community_id=community_id,
            member_id=str(step.user_id),
            channel_id=str(step.seat.channel_id),
            actor_kind=step.seat.kind,
            occurred_at=at,
            metadata=_seat_metadata(step),
        )
        for step in steps
    ]


def _seat_metadata(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if step.seat.category_id is not None:
        found["category_id"] = str(step.seat.category_id)
    if step.seat.is_deaf and step.event_type is not EventType.VOICE_LEFT:
        found["deaf"] = True
    return found


def seat(
    guild: discord.Guild,
    state: discord.VoiceState | None,
    user: discord.abc.User | None,
    ignored: frozenset[str] = frozenset(),
) -> Seat | None:
    """Return the voice channel of a member according to discord.py's cache, or None.

    The AFK channel and channels that are ignored count as none.

    After an outage of the guild, the cache still has members who left in the meantime, because discord.py removes no
    voice states. But it makes new channel objects then, so an outdated state has a channel object that the guild no
    longer has. `VoiceState.afk` cannot be used, because discord.py also sets it from `suppress`.
    user: whose state it is. If it is None, the state is ignored, because it may belong to a bot.
    """
    channel = state.channel if state else None
    if state is None or channel is None or user is None or guild.get_channel(channel.id) is not channel:
        return None
    is_afk = guild.afk_channel is not None and guild.afk_channel.id == channel.id
    if is_afk or channels.is_ignored(channel, ignored):
        return None
    return Seat(channel.id, kind(user), state.self_deaf, channel.category_id)


def seats(guild: discord.Guild, ignored: frozenset[str] = frozenset()) -> dict[int, Seat]:
    """Return the seats of the members of a guild, by the account's id. Only members in the cache are included."""
    found = {}
    for channel in [*guild.voice_channels, *guild.stage_channels]:
        for user_id, state in channel.voice_states.items():
            if current := seat(guild, state, guild.get_member(user_id), ignored):
                found[user_id] = current
    return found


def guild_id(subject: Any) -> int | None:
    """Return the id of the guild that an update is about. subject: a raw update, a member, a channel, or the guild."""
    guild = subject if isinstance(subject, discord.Guild) else getattr(subject, "guild", None)
    found: int | None = guild.id if guild else subject.guild_id
    return found


def kind(user: discord.abc.User | None) -> ActorKind:
    """Return the kind of an account. An unknown account counts as a person's, because most accounts are."""
    return platform.account_kind(is_bot=user is not None and user.bot)


def emoji(given: discord.PartialEmoji) -> str:
    """Return a Unicode emoji unchanged, and a custom emoji as its id."""
    return platform.emoji(given.id, given.name)
