"""What members, channels and communities are called when they are shown to people.

A member is a person with all linked accounts. The newest name of these accounts in the community is shown. Names are
chosen by members, so they can be equal to another name or to another member's id. Then something is added that tells
them apart. The functions leave out what has no name; callers show the id instead.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from participation import accounts
from participation.accounts import Account
from participation.display_names import key, shorten
from participation.store.days import parts

CELLS: Final = 40
"""Maximum width of a shown name, in columns of a terminal, without what is added to tell it apart."""

SPACES: Final = 3
"""How many names of spaces are shown for a community that the operator gave no name."""

_ENDS_IN_BRACKETS: Final = re.compile(r"\(([^()]+)\)$")

# An account that is not linked counts as the person with its own id, also if other accounts are linked to that id.
_SELECT_NEWEST_NAMES = text("""
WITH person AS (
    SELECT person_id, split_part(person_id, ':', 1) AS platform, substr(person_id, strpos(person_id, ':') + 1) AS id
    FROM unnest(CAST(:persons AS text[])) AS given (person_id)
), account AS (
    SELECT person_id, m.platform, m.account_id FROM person JOIN member_accounts AS m USING (person_id)
    UNION
    SELECT person_id, p.platform, p.id FROM person AS p
    WHERE NOT EXISTS (SELECT FROM member_accounts AS m WHERE m.platform = p.platform AND m.account_id = p.id)
)
SELECT DISTINCT ON (person_id) person_id, name, platform, username
FROM account JOIN account_names AS n USING (platform, account_id)
WHERE n.community_id = ANY(CAST(:parts AS text[])) AND name IS NOT NULL
ORDER BY person_id, seen_at DESC, platform, account_id, n.community_id
""")

_SELECT_LINKED_IDS = text("""
SELECT DISTINCT person_id FROM member_accounts WHERE lower(person_id) = ANY(CAST(:names AS text[]))
""")

_SELECT_CHANNEL_NAMES = text("""
SELECT DISTINCT ON (n.platform, n.channel_id) n.platform, n.channel_id, n.name, parent.name AS parent_name
FROM unnest(CAST(:platforms AS text[]), CAST(:ids AS text[])) AS given (platform, channel_id)
JOIN channel_names AS n USING (platform, channel_id)
LEFT JOIN channel_names AS parent
    ON (parent.community_id, parent.platform, parent.channel_id) = (n.community_id, n.platform, n.parent_id)
WHERE n.community_id = ANY(CAST(:parts AS text[])) AND n.name IS NOT NULL
ORDER BY n.platform, n.channel_id, n.seen_at DESC, n.community_id
""")

# The former id of a chat is the same chat, so its last name is not shown beside the present one.
_SELECT_COMMUNITY_NAMES = text("""
SELECT c.community_id, c.name AS given, array_agg(DISTINCT s.name) AS told
FROM communities AS c
LEFT JOIN community_parts AS p USING (community_id)
LEFT JOIN space_names AS s
    ON s.community_id IN (c.community_id, p.part_id) AND s.name IS NOT NULL
    AND NOT EXISTS (SELECT FROM space_names AS l WHERE l.platform = s.platform AND l.former_id = s.space_id)
WHERE c.community_id = ANY(CAST(:ids AS text[]))
GROUP BY c.community_id
""")

_SELECT_ACCOUNTS_CALLED = text("""
SELECT coalesce(c.community_id, n.community_id) AS community_id, n.platform, n.account_id,
    coalesce(m.person_id, n.platform || ':' || n.account_id) AS person_id
FROM account_names AS n
LEFT JOIN member_accounts AS m USING (platform, account_id)
LEFT JOIN community_parts AS c ON c.part_id = n.community_id
WHERE lower(n.name) = :name OR lower(n.username) = :username
ORDER BY 1, 2, 3 LIMIT :limit
""")


class Told(NamedTuple):
    """A name, and what can tell it apart from an equal one. id: what is shown if nothing else tells it apart."""

    id: str
    name: str
    platform: str
    username: str | None = None


class Candidate(NamedTuple):
    """An account that has a certain name. name: what its person is called when shown in that community."""

    account: Account
    name: str | None
    community_id: str


def of_members(connection: Connection, community_id: str, ids: Iterable[str]) -> dict[str, str]:
    """Return what these persons are called in the community, by their ids, each name only once."""
    given = sorted(set(ids))
    values = {"persons": given, "parts": parts.parts_of(connection, community_id)}
    told = [
        Told(row.person_id, row.name, row.platform, row.username)
        for row in connection.execute(_SELECT_NEWEST_NAMES, values)
    ]
    linked = connection.scalars(_SELECT_LINKED_IDS, {"names": [key(each.name) for each in told]})
    return tell_apart(told, {*given, *linked})


def of_channels(
    connection: Connection, community_id: str, channels: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Return what these channels are called, each given as platform and id: `#name`, or `#parent › name`."""
    values = {
        "platforms": [platform for platform, _ in channels],
        "ids": [channel_id for _, channel_id in channels],
        "parts": parts.parts_of(connection, community_id),
    }
    found = {(row.platform, row.channel_id): row for row in connection.execute(_SELECT_CHANNEL_NAMES, values)}
    told = [Told(":".join(place), _channel(row.name, row.parent_name), row.platform) for place, row in found.items()]
    labels = tell_apart(told, ())
    return {place: labels[":".join(place)] for place in found}


def of_communities(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return what these communities are called, by their ids.

    That is the name that the operator gave, or else the names of its guilds, chats and workspaces.
    """
    rows = connection.execute(_SELECT_COMMUNITY_NAMES, {"ids": list(ids)})
    names = {row.community_id: row.given or _joined(sorted(filter(None, row.told))) for row in rows}
    return {community_id: name for community_id, name in names.items() if name}


def accounts_called(connection: Connection, name: str, limit: int) -> list[Candidate]:
    """Return accounts with this name or username in any community. Upper and lower case do not matter.

    Reads all names.
    """
    values = {"name": name.lower(), "username": name.lower().removeprefix("@"), "limit": limit}
    rows = connection.execute(_SELECT_ACCOUNTS_CALLED, values).all()
    shown: dict[str, dict[str, str]] = {
        community_id: of_members(connection, community_id, [row.person_id for row in rows])
        for community_id in {row.community_id for row in rows}
    }
    return [
        Candidate(Account(row.platform, row.account_id), shown[row.community_id].get(row.person_id), row.community_id)
        for row in rows
    ]


def tell_apart(told: Sequence[Told], ids: Collection[str]) -> dict[str, str]:
    """Return a name for each id, so that no two are equal, and none can be taken for another id.

    Equal names get the platform, or else the username, or else the id. ids: those that no other may be called.
    """
    equal: defaultdict[str, list[Told]] = defaultdict(list)
    for each in told:
        equal[key(shorten(each.name, CELLS))].append(each)
    labels = {each.id: _label(each, added) for group in equal.values() for each, added in _added(group)}
    owners = {key(each): each for each in ids}
    sure: set[str] = set()
    while unsure := [each for each in _unsure(told, labels, owners) if each.id not in sure]:
        labels.update({each.id: _label(each, each.id) for each in unsure})
        sure.update(each.id for each in unsure)
    return labels


def _added(group: Sequence[Told]) -> Iterable[tuple[Told, str | None]]:
    """Yield each of the equally named, and what is added to the name."""
    if len(group) == 1:
        return [(group[0], None)]
    platforms = [each.platform for each in group]
    usernames = [shorten(each.username, CELLS) for each in group if each.username]
    if len(set(platforms)) == len(group):
        return zip(group, platforms, strict=True)
    if len({key(each) for each in usernames}) == len(group):
        return zip(group, [f"@{each.removeprefix('@')}" for each in usernames], strict=True)
    return [(each, each.id) for each in group]


def _unsure(told: Sequence[Told], labels: Mapping[str, str], owners: Mapping[str, str]) -> Iterator[Told]:
    """Yield those whose label is also another one's, or reads like an id that is not their own."""
    counts = Counter(map(key, labels.values()))
    for each in told:
        label, name = key(labels[each.id]), key(shorten(each.name, CELLS))
        in_brackets = _ENDS_IN_BRACKETS.search(name)
        read = [label, *(in_brackets.groups() if in_brackets else ())]
        if counts[label] > 1 or any(
            owners.get(one, each.id) != each.id or _is_other_account(one, each.id) for one in read
        ):
            yield each


def _is_other_account(name: str, own: str) -> bool:
    return accounts.find(name) is not None and name != key(own)


def _label(each: Told, added: str | None) -> str:
    name = shorten(each.name, CELLS)
    return name if added is None else f"{name} ({added})"


def _channel(name: str, parent: str | None) -> str:
    own = f"#{name.removeprefix('#')}"
    return own if parent is None else f"#{shorten(parent.removeprefix('#'), CELLS // 2 - 2)} › {own[1:]}"


def _joined(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SPACES} more" if len(names) > SPACES else ""
    return " + ".join(shorten(name, CELLS) for name in names[:SPACES]) + rest
