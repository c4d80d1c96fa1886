"""Members and channels that a community has excluded, with everything that they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from participation.store import options
from participation.store.days import channels, parts
from participation.store.options import Options


@dataclass(frozen=True, slots=True)
class Excluded:
    """Excluded persons with all their accounts, and channels with all below them, each written PLATFORM:ID."""

    persons: frozenset[str]
    accounts: list[str]
    channels: list[str]

    def hides_channel(self, platform: str, channel_id: str) -> bool:
        """Return whether the channel of a computed row is excluded, or is a topic of an excluded chat."""
        return not {f"{platform}:{channel_id}", f"{platform}:{channel_id.partition('/')[0]}"}.isdisjoint(self.channels)

    @property
    def topic_chats(self) -> list[str]:
        """Chats in Telegram of which a topic is excluded. What is in no topic of them is in the topic 1."""
        found = (name.removeprefix("telegram:") for name in self.channels if name.startswith("telegram:"))
        return [chat for chat, slash, _ in (name.partition("/") for name in found) if slash]


# A member is excluded with all linked accounts, whichever of them is in the list. A name can be that of an account and
# of a person: an account that is linked counts only as the person to whom it is linked.
_SELECT_EXCLUDED_ACCOUNTS = text("""
WITH linked AS (
    SELECT person_id, platform || ':' || account_id AS account FROM member_accounts
), persons (name) AS (
    SELECT unnest(CAST(:members AS text[])) EXCEPT SELECT account FROM linked
    UNION SELECT person_id FROM linked WHERE account = ANY(CAST(:members AS text[]))
    UNION SELECT person_id FROM linked WHERE person_id = ANY(CAST(:members AS text[]))
)
SELECT name, array_remove(array_append(
    array_agg(account), CASE WHEN name NOT IN (SELECT account FROM linked) THEN name END), NULL)
FROM persons LEFT JOIN linked ON person_id = name GROUP BY name
""")


def of_community(connection: Connection, community_id: str) -> Excluded:
    """Return what the community excludes now."""
    found = options.read(connection, community_id)
    return read(connection, found, parts.parts_of(connection, community_id))


def read(connection: Connection, chosen: Options, ids: Sequence[str]) -> Excluded:
    """Return what is excluded now, by the links of accounts and the names of channels in these parts."""
    members = {"members": list(chosen.excluded_members)}
    persons: dict[str, list[str]] = {}
    if chosen.excluded_members:
        persons = dict(tuple(row) for row in connection.execute(_SELECT_EXCLUDED_ACCOUNTS, members))
    below = channels.with_channels_below(connection, ids, chosen.excluded_channels)
    return Excluded(frozenset(persons), [each for found in persons.values() for each in found], list(below))
