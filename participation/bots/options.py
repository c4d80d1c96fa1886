"""Checks the options of all adapters where the bot is set up. A wrong one would fail later, or never match anything."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from participation import event
from participation.errors import ConfigError, InvalidEvent
from participation.platforms import SPACE_IDS, discord, telegram
from participation.publish import Publisher

Communities = Mapping[int, str] | Mapping[str, str]
"""The community_id of guilds or chats, by their id. An id may be a string, because configuration files give strings."""

Channels = Iterable[int] | Iterable[str]
"""Ids of channels. On Telegram, the id of a chat, or `<chat id>/<topic id>`."""

NUMBER: Final = re.compile(r"-?[0-9]{1,20}")
TOPIC: Final = re.compile(r"[1-9][0-9]{0,18}")

_EXAMPLES: Final = {
    discord.PLATFORM: "381870553235193857",
    telegram.PLATFORM: "-1001000000001 (a chat) or '-1001000000001/5' (a topic)",
}


def check_communities(platform: str, given: Communities | None) -> dict[int, str]:
    """Return the mapping with numbers as its keys. Raises `ConfigError` for what cannot be an id or a community_id."""
    if not isinstance(given, Mapping | None):
        raise ConfigError(f"communities: must map ids to names, as {{-1001: 'harbour'}} does; got {event.short(given)}")
    checked: dict[int, str] = {}
    for key, name in (given or {}).items():
        space_id = _space_id(platform, key)
        try:
            event.check(community_id=name)
        except InvalidEvent as error:
            raise ConfigError(f"communities: the name of {key!r} {error.rule}") from error
        if checked.setdefault(space_id, name) != name:
            raise ConfigError(f"communities: {space_id} has two names, {checked[space_id]!r} and {name!r}; remove one")
    return checked


def _space_id(platform: str, key: object) -> int:
    if isinstance(key, str) and NUMBER.fullmatch(key):
        key = int(key)
    ids = SPACE_IDS[platform]
    if isinstance(key, bool) or not isinstance(key, int) or key not in ids:
        sign = "positive" if ids.start > 0 else "negative"
        raise ConfigError(
            f"communities: {event.short(key)} cannot be the id of a guild or group; on {platform} it is a {sign} "
            "number of at most 64 bits"
        )
    return key


def check_ignored_channels(platform: str, given: Channels | None) -> frozenset[str]:
    """Return the ids as texts. Raises `ConfigError` for what cannot be the id of a channel."""
    if not isinstance(given, Iterable | None) or isinstance(given, str | bytes | Mapping):
        raise ConfigError(f"ignored_channels: must be a list of ids; got {event.short(given)}")
    return frozenset(_channel_id(platform, each) for each in given or ())


def _channel_id(platform: str, given: object) -> str:
    chat, slash, topic = str(given).partition("/") if isinstance(given, str) else (given, "", "")
    number = int(chat) if isinstance(chat, str) and NUMBER.fullmatch(chat) else chat
    is_id = isinstance(number, int) and not isinstance(number, bool) and number in SPACE_IDS[platform]
    if not is_id or (slash and not (platform == telegram.PLATFORM and TOPIC.fullmatch(topic))):
        raise ConfigError(
            f"ignored_channels: {event.short(given)} cannot be the id of a channel; on {platform} it looks like "
            f"{_EXAMPLES[platform]}"
        )
    return f"{number}{slash}{topic}"


def check_publisher(given: Publisher | None) -> Publisher | None:
    """Return the publisher. Raises `ConfigError` if it cannot take events."""
    if given is not None:
        check_type("publisher", given, Publisher)
        if given.is_closed:
            raise ConfigError("publisher: it is closed; pass an open Publisher, or leave the argument out")
    return given


def check_flag(name: str, given: object) -> bool:
    """Return the flag. Raises `ConfigError` for another value, because the text 'false' would turn it on."""
    if not isinstance(given, bool):
        raise ConfigError(f"{name}: must be True or False; got {event.short(given)}")
    return given


def check_type(name: str, given: object, kind: type) -> None:
    """Raise `ConfigError` if the argument is not an object of this class."""
    if not isinstance(given, kind):
        raise ConfigError(
            f"{name}: must be an object of {kind.__module__}.{kind.__qualname__}; got {event.short(given)}"
        )
