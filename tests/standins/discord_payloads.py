"""The objects of Discord's API, as its documentation describes them (https://discord.com/developers/docs)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

EPOCH_MILLISECONDS: Final = 1_420_070_400_000
TEXT, VOICE, CATEGORY, FORUM, STAGE, PUBLIC_THREAD, PRIVATE_THREAD = 0, 2, 4, 15, 13, 11, 12
VIEW_CHANNEL: Final = 1 << 10

Payload = dict[str, Any]

_increments = count(1)


def snowflake(at: datetime) -> int:
    """Return a new id for an object that was created at this time. Its precision is a millisecond."""
    milliseconds = round(at.timestamp() * 1000)
    return ((milliseconds - EPOCH_MILLISECONDS) << 22) | (next(_increments) & 0xFFF)


@dataclass(frozen=True)
class User:
    id: int
    name: str
    is_bot: bool = False
    global_name: str | None = None

    def payload(self) -> Payload:
        return {
            "id": str(self.id),
            "username": self.name,
            "discriminator": "0",
            "global_name": self.global_name,
            "avatar": None,
            "bot": self.is_bot,
        }


BOT: Final = User(900, "harbour", is_bot=True)


@dataclass
class Channel:
    id: int
    type: int
    parent_id: int | None = None
    is_hidden: bool = False
    name: str | None = None
    category_id: int | None = None

    @property
    def is_thread(self) -> bool:
        return self.type in {PUBLIC_THREAD, PRIVATE_THREAD}

    def payload(self, guild_id: int) -> Payload:
        common = {"id": str(self.id), "guild_id": str(guild_id), "type": self.type}
        common["name"] = self.name or f"c{self.id}"
        if self.is_thread:
            return common | {
                "parent_id": str(self.parent_id),
                "owner_id": "1",
                "last_message_id": None,
                "rate_limit_per_user": 0,
                "message_count": 0,
                "member_count": 1,
                "thread_metadata": {
                    "archived": False,
                    "auto_archive_duration": 60,
                    "archive_timestamp": "2026-03-10T12:00:00+00:00",
                    "locked": False,
                },
            }
        return common | {
            "position": 0,
            "permission_overwrites": [_hide(guild_id)] * self.is_hidden,
            "parent_id": None if self.category_id is None else str(self.category_id),
            "nsfw": False,
            "bitrate": 64_000,
            "user_limit": 0,
            "rtc_region": None,
            "topic": None,
            "rate_limit_per_user": 0,
            "available_tags": [],
        }


def _hide(guild_id: int) -> Payload:
    """Return a permission overwrite that hides a channel from everyone. The role of everyone has the guild's id."""
    return {"id": str(guild_id), "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)}


@dataclass
class Guild:
    """The current state of a guild. A bot may know an older state."""

    id: int
    members: dict[int, User] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    voice: dict[int, int] = field(default_factory=dict)
    afk_channel_id: int | None = None
    is_unavailable: bool = False
    permissions: int = VIEW_CHANNEL
    name: str | None = None
    nicks: dict[int, str] = field(default_factory=dict)
    others: int = 0
    """How many members GUILD_CREATE leaves out, as in a large guild. A bot with the intent then asks for them."""

    def member(self, user: User, joined_at: datetime | None = None) -> Payload:
        return {
            "user": user.payload(),
            "nick": self.nicks.get(user.id),
            "avatar": None,
            "roles": [],
            "joined_at": (joined_at or datetime(2026, 1, 1, tzinfo=UTC)).isoformat(),
            "deaf": False,
            "mute": False,
            "flags": 0,
            "pending": False,
        }

    def everyone(self) -> Payload:
        """Return the role that all members have."""
        role = {"id": str(self.id), "name": "@everyone", "permissions": str(self.permissions)}
        return role | {"color": 0, "hoist": False, "position": 0, "managed": False, "mentionable": False}

    def voice_state(self, user: User, channel_id: int | None, **flags: bool) -> Payload:
        off = ("deaf", "mute", "self_deaf", "self_mute", "self_stream", "self_video", "suppress")
        return {
            "channel_id": None if channel_id is None else str(channel_id),
            "user_id": str(user.id),
            "session_id": f"voice-{user.id}",
            "request_to_speak_timestamp": None,
            **dict.fromkeys(off, False),
            **flags,
        }

    def payload(self, *, all_members: bool) -> Payload:
        """Return the payload of GUILD_CREATE. Without the intent, it has only the bot and the members in voice."""
        channels = [c for c in self.channels.values() if not c.is_thread]
        threads = [c for c in self.channels.values() if c.is_thread]
        shown = [m for m in self.members.values() if all_members or m == BOT or m.id in self.voice]
        return {
            "id": str(self.id),
            "name": self.name or f"g{self.id}",
            "owner_id": "1",
            "unavailable": False,
            "member_count": len(self.members) + self.others,
            "large": False,
            "joined_at": "2026-01-01T00:00:00+00:00",
            "afk_channel_id": None if self.afk_channel_id is None else str(self.afk_channel_id),
            "afk_timeout": 300,
            "roles": [self.everyone()],
            "emojis": [],
            "features": [],
            "channels": [c.payload(self.id) for c in channels],
            "threads": [t.payload(self.id) for t in threads],
            "members": [self.member(m) for m in shown],
            "voice_states": [self.voice_state(self.members[u], c) for u, c in self.voice.items()],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }


def message(guild_id: int | None, channel_id: int, author: User, at: datetime, **more: Any) -> Payload:
    """Return the payload of MESSAGE_CREATE. more: additional or changed fields."""
    return {
        "id": str(snowflake(at)),
        "channel_id": str(channel_id),
        **({} if guild_id is None else {"guild_id": str(guild_id)}),
        "author": author.payload(),
        "content": "",
        "timestamp": at.isoformat(),
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": False,
        "type": 0,
        **more,
    }


def emoji(value: str | int) -> Payload:
    """Return a reaction's emoji. value: a Unicode emoji, or the id of a custom one."""
    return {"id": None, "name": value} if isinstance(value, str) else {"id": str(value), "name": "wave"}


def application(application_id: int, flags: int) -> Payload:
    return {
        "id": str(application_id),
        "name": "Harbour",
        "icon": None,
        "description": "",
        "bot_public": True,
        "bot_require_code_grant": False,
        "owner": User(1, "owner").payload(),
        "verify_key": "0" * 64,
        "flags": flags,
        "team": None,
    }


def partial_guild(guild_id: int) -> Payload:
    return {"id": str(guild_id), "name": f"g{guild_id}", "icon": None, "owner": False, "permissions": "0"}


def registered(command: Payload) -> Payload:
    """Return a command as Discord returns it after it was registered."""
    known = {
        "id": str(next(_increments)),
        "application_id": "901",
        "version": "1",
        "default_member_permissions": None,
        "type": 1,
    }
    return known | {"description": "", "options": []} | command


def gateway(url: str) -> Payload:
    """Return the answer for bots with shards: how many shards to use, and how often a session may start."""
    limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
    return {"url": url, "shards": 1, "session_start_limit": limit}
