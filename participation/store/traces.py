"""What is stored about a person, read for the person: numbers of it, and all of it. Nothing about anybody else."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from participation.store import dead_letters, whose
from participation.store.erasure import ACCOUNTS, IS_AUTHOR, IS_MEMBER
from participation.store.persons import Person

FETCHED: Final = 1_000
"""Rows that are in memory at a time."""

_COUNTS = text(f"""
WITH {ACCOUNTS}
SELECT event_type, count(*) AS events, min(occurred_at) AS first_at, max(occurred_at) AS last_at,
    array_agg(DISTINCT community_id) AS communities
FROM participation_events WHERE {IS_MEMBER} GROUP BY event_type ORDER BY event_type
""")

_RECEIVED = text(f"""
WITH {ACCOUNTS}
SELECT count(*) FROM participation_events WHERE {IS_AUTHOR} AND NOT {IS_MEMBER}
""")

_DAYS = text("SELECT count(*) FROM member_daily_highlights WHERE member_id = ANY(CAST(:names AS text[]))")

# Whose message somebody reacted to is that somebody's affair unless it is the person's own.
_EVENTS = text(f"""
WITH {ACCOUNTS}
SELECT community_id, occurred_at, event_id, platform, event_type, channel_id, member_id, object_id,
    CASE WHEN {IS_AUTHOR} THEN object_author_id END AS object_author_id, actor_kind, metadata, received_at, import_id
FROM participation_events WHERE {IS_MEMBER}
""")

# Neither who it was nor the id of the event, which is made of that.
_RECEIVED_EVENTS = text(f"""
WITH {ACCOUNTS}
SELECT community_id, occurred_at, platform, event_type, channel_id, object_id, object_author_id,
    metadata -> 'emoji' AS emoji
FROM participation_events WHERE {IS_AUTHOR} AND NOT {IS_MEMBER}
""")

_HIGHLIGHTS = text("SELECT * FROM member_daily_highlights WHERE member_id = ANY(CAST(:names AS text[]))")

_LINKS = text("""
SELECT platform, account_id, person_id, linked_at FROM member_accounts WHERE person_id = :person_id
""")

QUERIES: Final = {
    "link": _LINKS,
    "event": _EVENTS,
    "reaction_received": _RECEIVED_EVENTS,
    "highlight": _HIGHLIGHTS,
}
"""What is read, by its kind."""


class Summary(NamedTuple):
    """Numbers of what is stored. events: by type. received: reactions of others to what the person wrote."""

    events: Mapping[str, int]
    first_at: datetime | None
    last_at: datetime | None
    communities: tuple[str, ...]
    received: int
    highlight_days: int
    dead_letters: int


def summary(connection: Connection, person: Person) -> Summary:
    """Count what is stored about the person. Reads the whole table."""
    rows = connection.execute(_COUNTS, person.columns()).all()
    return Summary(
        events={row.event_type: row.events for row in rows},
        first_at=min((row.first_at for row in rows), default=None),
        last_at=max((row.last_at for row in rows), default=None),
        communities=tuple(sorted({each for row in rows for each in row.communities})),
        received=connection.scalar(_RECEIVED, person.columns()) or 0,
        highlight_days=connection.scalar(_DAYS, {"names": person.names}) or 0,
        dead_letters=sum(1 for _ in letters(connection, person)),
    )


def everything(connection: Connection, person: Person) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the kind of each thing that is stored about the person, and its fields."""
    values = {"person_id": person.person_id, "names": person.names, **person.columns()}
    for kind, query in QUERIES.items():
        for row in connection.execute(query, values, execution_options={"yield_per": FETCHED}):
            yield kind, dict(row._mapping)
    for each in letters(connection, person):
        yield "dead_letter", each


def letters(connection: Connection, person: Person) -> Iterator[Mapping[str, Any]]:
    """Yield the dead letters from which an event of the person can be read."""
    after = 0
    while found := dead_letters.following(connection, after, dead_letters.FETCHED):
        after = found[-1].id
        for letter in found:
            if (payload := _own(letter.raw, person)) is not None:
                yield {"received_at": letter.received_at, "reason": letter.reason, "event": payload}


def _own(raw: bytes, person: Person) -> dict[str, Any] | None:
    """Return the event in the message if its member is the person, without the id of anybody else."""
    payload = whose.read(raw)
    if payload is None:
        return None
    member, *author = whose.named(payload).accounts
    if member not in person.accounts:
        return None
    return payload if set(author) <= set(person.accounts) else {**payload, "object_author_id": None}
