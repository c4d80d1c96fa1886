"""Reads what is stored about a person, as counts or in full, without personal data of other members."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from participation import mentions
from participation.store import dead_letters
from participation.store.members.erasure import ACCOUNTS, IS_AUTHOR, IS_MEMBER
from participation.store.members.persons import Person

FETCHED: Final = 1_000
"""Number of rows in memory at a time."""

_COUNT_PERSON_EVENTS = text(f"""
WITH {ACCOUNTS}
SELECT event_type, count(*) AS events, min(occurred_at) AS first_at, max(occurred_at) AS last_at,
    array_agg(DISTINCT community_id) AS communities
FROM participation_events WHERE {IS_MEMBER} GROUP BY event_type ORDER BY event_type
""")

_COUNT_RECEIVED = text(f"""
WITH {ACCOUNTS}
SELECT count(*) FROM participation_events WHERE {IS_AUTHOR} AND NOT {IS_MEMBER}
""")

_COUNT_PERSON_DAYS = text("SELECT count(*) FROM member_daily_highlights WHERE member_id = ANY(CAST(:names AS text[]))")

# The author of a message that the person reacted to is left out: another author's id is that member's data.
_SELECT_PERSON_EVENTS = text(f"""
WITH {ACCOUNTS}
SELECT community_id, occurred_at, event_id, platform, event_type, channel_id, member_id, object_id,
    CASE WHEN {IS_AUTHOR} THEN object_author_id END AS object_author_id, actor_kind, metadata, received_at, import_id
FROM participation_events WHERE {IS_MEMBER}
""")

# Without the member who reacted, and without the event's id, which is derived from that member's id.
_SELECT_RECEIVED = text(f"""
WITH {ACCOUNTS}
SELECT community_id, occurred_at, platform, event_type, channel_id, object_id, object_author_id,
    metadata -> 'emoji' AS emoji
FROM participation_events WHERE {IS_AUTHOR} AND NOT {IS_MEMBER}
""")

_SELECT_PERSON_DAYS = text("SELECT * FROM member_daily_highlights WHERE member_id = ANY(CAST(:names AS text[]))")

_COUNT_PERSON_ACCOUNT_NAMES = text(f"""
WITH {ACCOUNTS} SELECT count(*) FROM account_names WHERE (platform, account_id) IN (SELECT * FROM accounts)
""")

_SELECT_PERSON_LINKS = text("""
SELECT platform, account_id, person_id, linked_at FROM member_accounts WHERE person_id = :person_id
""")

_SELECT_PERSON_NON_USERS = text(f"""
WITH {ACCOUNTS}
SELECT community_id, platform, account_id FROM community_non_users
WHERE (platform, account_id) IN (SELECT * FROM accounts)
""")

_SELECT_PERSON_ACCOUNT_NAMES = text(f"""
WITH {ACCOUNTS}
SELECT community_id, platform, account_id, name, username, joined_at, seen_at FROM account_names
WHERE (platform, account_id) IN (SELECT * FROM accounts)
""")

QUERIES: Final = {
    "link": _SELECT_PERSON_LINKS,
    "event": _SELECT_PERSON_EVENTS,
    "reaction_received": _SELECT_RECEIVED,
    "highlight": _SELECT_PERSON_DAYS,
    "name": _SELECT_PERSON_ACCOUNT_NAMES,
    "not_user": _SELECT_PERSON_NON_USERS,
}
"""The queries, by the kind of the records that they read."""


class Summary(NamedTuple):
    """Counts of what is stored about a person.

    events: by type. received: reactions of others that name the person as the author. highlight_days: computed days
    with a row of the person. names: of the accounts in the communities. dead_letters: those that contain a readable
    event of the person.
    """

    events: Mapping[str, int]
    first_at: datetime | None
    last_at: datetime | None
    communities: tuple[str, ...]
    received: int
    highlight_days: int
    names: int
    dead_letters: int

    @property
    def is_empty(self) -> bool:
        return not (self.events or self.received or self.highlight_days or self.names or self.dead_letters)


def read_summary(connection: Connection, person: Person) -> Summary:
    """Count what is stored about the person. Reads the whole table of events."""
    rows = connection.execute(_COUNT_PERSON_EVENTS, person.columns()).all()
    return Summary(
        events={row.event_type: row.events for row in rows},
        first_at=min((row.first_at for row in rows), default=None),
        last_at=max((row.last_at for row in rows), default=None),
        communities=tuple(sorted({each for row in rows for each in row.communities})),
        received=connection.scalar(_COUNT_RECEIVED, person.columns()) or 0,
        highlight_days=connection.scalar(_COUNT_PERSON_DAYS, {"names": person.names}) or 0,
        names=connection.scalar(_COUNT_PERSON_ACCOUNT_NAMES, person.columns()) or 0,
        dead_letters=sum(1 for _ in read_dead_letters(connection, person)),
    )


def read_everything(connection: Connection, person: Person) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield everything that is stored about the person: the kind of each record, and its fields."""
    values = {"person_id": person.person_id, "names": person.names, **person.columns()}
    for kind, query in QUERIES.items():
        for row in connection.execute(query, values, execution_options={"yield_per": FETCHED}):
            yield kind, dict(row._mapping)
    for each in read_dead_letters(connection, person):
        yield "dead_letter", each


def read_dead_letters(connection: Connection, person: Person) -> Iterator[Mapping[str, Any]]:
    """Yield the dead letters that contain a readable event of the person."""
    for page in dead_letters.pages(lambda after: dead_letters.following(connection, after)):
        for letter in page:
            if (payload := _own(letter.raw, person)) is not None:
                yield {"received_at": letter.received_at, "reason": letter.reason, "event": payload}


def _own(raw: bytes, person: Person) -> dict[str, Any] | None:
    """Return the event in the message if its member is the person, without the ids of other members."""
    payload = mentions.read_event(raw)
    if payload is None:
        return None
    member, *author = mentions.find_mentions(payload).accounts
    if member not in person.accounts:
        return None
    return payload if set(author) <= set(person.accounts) else {**payload, "object_author_id": None}
