"""Marks the days of earlier reactions to messages that are stored only now: their topic or author gets known."""

from collections.abc import Iterable, Sequence

import orjson
from sqlalchemy import Connection, text

from participation.store.communities.settings import SpecialCase
from participation.store.days import parts
from participation.store.ingest.events import NULL, Accepted

# Days that are not computed yet are due in any case.
_MARK_REACTION_DAYS = text(f"""
INSERT INTO due_days (community_id, highlight_date)
SELECT DISTINCT h.community_id, h.highlight_date
FROM json_to_recordset(CAST(:given AS json)) AS given (community_id text, occurred_at timestamptz)
{parts.JOIN_COMMUNITY.format(source="given")}
JOIN community_daily_highlights AS h ON h.community_id = c.community_id
    AND h.highlight_date >= CAST(occurred_at AT TIME ZONE timezone AS date)
""")


def mark_reactions(connection: Connection, accepted: Iterable[Accepted], cases: Sequence[SpecialCase]) -> None:
    """Mark the computed days on or after the first message whose topic or author a reaction may take.

    The caller holds `locks.share_time_zones`, and commits. cases: the special cases among the communities.
    """
    authors = {case.community_id for case in cases if case.authors_from_messages}
    first: dict[str, str] = {}
    for row, community_id, *_ in accepted:
        is_looked_up = '"topic_id"' in row.metadata or community_id in authors
        if is_looked_up and row.event_type == "MESSAGE_SENT" and row.object_id != NULL:
            first[community_id] = min(first.get(community_id, row.occurred_at), row.occurred_at)
    if first:
        rows = [{"community_id": name, "occurred_at": at} for name, at in first.items()]
        connection.execute(_MARK_REACTION_DAYS, {"given": orjson.dumps(rows).decode()})
