"""From discord.py's objects to events. Pure functions: they read only the objects, and remember nothing.

`community` returns the community_id of a guild's id. Direct messages and system messages make no event.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import discord

from participation.bots.discord.voice import Seat, Step
from participation.event import ActorKind, Event, EventType
from participation.platforms import discord as platform
from participation.platforms.discord import PLATFORM

Community = Callable[[int], str]


def message(community: Community, sent: discord.Message) -> list[Event]:
    """Return the event of a message in a guild. Its id makes it the same event each time."""
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
    """Return the event of a reaction in a guild that was added or removed. Discord does not tell its time."""
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
    """Return the event of a member who joined. at: the time of receipt, for the rare member without a time."""
    return [_membership(EventType.MEMBER_JOINED, community(member.guild.id), member, member.joined_at or at)]


def left(community: Community, payload: discord.RawMemberRemoveEvent, at: datetime) -> list[Event]:
    """Return the event of a member who left, was kicked or banned. Discord does not tell its time."""
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
    """Return the events of the voice channels of a guild at one moment."""
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
    """Return the voice channel of a member according to the library's cache. None for no channel and the AFK channel.

    After an outage of the guild the cache still holds members who left meanwhile: new voice states overwrite old ones,
    and none is removed. But the library then makes new channel objects, so an outdated state points to a channel object
    that the guild no longer has. `VoiceState.afk` is not used: the library reads `suppress` into it.
    user: whose state it is. Without it nobody can tell whether it is a bot, so the state is ignored.
    """
    channel = state.channel if state else None
    if channel is None or user is None or guild.get_channel(channel.id) is not channel:
        return None
    is_afk = guild.afk_channel is not None and guild.afk_channel.id == channel.id
    return None if is_afk else Seat(channel.id, kind(user))


def seats(guild: discord.Guild) -> dict[int, Seat]:
    """Return the voice channels of all members of a guild, by the account's id, without members the cache lacks."""
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
    """Return what an account is. An unknown account counts as a person's, because most are."""
    return platform.account_kind(is_bot=user is not None and user.bot)


def emoji(given: discord.PartialEmoji) -> str:
    """Return a Unicode emoji as it is, and a custom one as its id."""
    return platform.emoji(given.id, given.name)


def _parent(channel: Any) -> dict[str, str]:
    return {"parent_id": str(channel.parent_id)} if isinstance(channel, discord.Thread) else {}
