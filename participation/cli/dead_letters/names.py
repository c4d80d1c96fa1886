"""The names of the community, the channel and the member of a dead letter, which can contain anything."""

from typing import Any, NamedTuple

from sqlalchemy import Connection

from participation import accounts, event, mentions
from participation.accounts import Account
from participation.errors import InvalidEvent
from participation.store.communities import shown_names
from participation.store.days import parts
from participation.store.members import persons


class Named(NamedTuple):
    """An id in a letter, and what it is called."""

    id: str
    name: str


def read_names(connection: Connection, payload: object) -> dict[str, Named]:
    """Return what is known of the ids in the event of a letter: `community`, `channel` and `member`."""
    community_id = mentions.find_mentions(payload).community_id
    if not isinstance(payload, dict) or community_id is None or not _is_valid(community_id=community_id):
        return {}
    whole = parts.community_of(connection, community_id) or community_id
    names = {
        "community": shown_names.of_communities(connection, [whole]).get(whole),
        "channel": _channel(connection, whole, payload),
        "member": _member(connection, whole, payload),
    }
    ids = {"community": community_id, "channel": payload.get("channel_id"), "member": payload.get("member_id")}
    return {kind: Named(str(ids[kind]), name) for kind, name in names.items() if name}


def _channel(connection: Connection, community_id: str, payload: dict[str, Any]) -> str | None:
    platform, channel_id = payload.get("platform"), payload.get("channel_id")
    if not isinstance(channel_id, str) or not _is_valid(platform=platform, channel_id=channel_id):
        return None
    place = (str(platform), channel_id)
    return shown_names.of_channels(connection, community_id, [place]).get(place)


def _member(connection: Connection, community_id: str, payload: dict[str, Any]) -> str | None:
    found = mentions.find_mentions({**payload, "object_author_id": None}).accounts
    if not found or accounts.find(accounts.person_id(found[0])) is None:
        return None
    person = persons.person_of_account(connection, Account(*found[0])).person_id
    return shown_names.of_members(connection, community_id, [person]).get(person)


def _is_valid(**fields: Any) -> bool:
    try:
        event.check(**fields)
    except InvalidEvent:
        return False
    return True
