"""Converts an event into the row that every contender stores, with only the standard library and orjson.

Compared with participation, these are missing: all rules of fields except that the required ones exist, dead letters,
and unusual time formats. The row is exactly the same, also its `event_id`, so the stored rows can be compared.
"""

from datetime import UTC, datetime
from hashlib import sha1
from typing import Any, Final
from uuid import UUID

import orjson

COLUMNS: Final = (
    "community_id, occurred_at, event_id, platform, event_type, channel_id, member_id, object_id, "
    "object_author_id, actor_kind, metadata"
)
NAMESPACE: Final = UUID("5f6e3c1c-2b0a-5d0f-9a55-6d2f6a2f7c11").bytes


def row(event: dict[str, Any]) -> tuple[str | None, ...]:
    get = event.get
    occurred_at = datetime.fromisoformat(event["occurred_at"]).astimezone(UTC)
    metadata = get("metadata") or {}
    community, platform, member, kind = (
        event["community_id"],
        event["platform"],
        event["member_id"],
        event["event_type"],
    )
    name = [platform, community, get("channel_id"), member, kind, get("object_id"), metadata.get("emoji"), occurred_at]
    digest = sha1(NAMESPACE + orjson.dumps(name), usedforsecurity=False).digest()
    return (
        community,
        occurred_at.isoformat(),
        str(UUID(bytes=digest[:16], version=5)),
        platform,
        kind,
        get("channel_id"),
        member,
        get("object_id"),
        get("object_author_id"),
        get("actor_kind", "user"),
        orjson.dumps(metadata).decode(),
    )
