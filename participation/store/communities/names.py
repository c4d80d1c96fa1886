"""The names of accounts, channels and spaces: the latest that a notice told, and of joining times the earliest."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, TextClause, text

from participation.display_names import clean
from participation.notices.names import AccountName, ChannelName, Name, SpaceName


class _Table(NamedTuple):
    """A table of names. told: its columns, beside the key and `seen_at`, that the latest notice sets; with types.

    earliest: the column of a time, of which the earliest is kept. kept: a column that a notice without it leaves.
    """

    name: str
    id: str
    told: dict[str, str]
    earliest: str | None = None
    kept: str | None = None


_TABLES: Final = {
    AccountName: _Table("account_names", "account_id", {"name": "text", "username": "text"}, "joined_at"),
    ChannelName: _Table(
        "channel_names",
        "channel_id",
        {"name": "text", "parent_id": "text", "category_id": "text", "is_public": "boolean"},
    ),
    SpaceName: _Table("space_names", "space_id", {"name": "text"}, kept="former_id"),
}
_CLEANED: Final[tuple[str, ...]] = ("name", "username")


def _upsert(table: _Table) -> TextClause:
    """Return the statement that stores names, given as a JSON array. Of equal times, the greater values win."""
    key = f"community_id, platform, {table.id}"
    earliest = [table.earliest] if table.earliest else []
    kept = [table.kept] if table.kept else []
    types = {**table.told, **dict.fromkeys(earliest, "timestamptz"), **dict.fromkeys(kept, "text")}
    newer = f"{_rank(table, 'excluded')} > {_rank(table, 't')}"
    found = [*table.told, *(f"min({name}) OVER (PARTITION BY {key})" for name in (*earliest, *kept))]
    changes = [f"{name} = CASE WHEN {newer} THEN excluded.{name} ELSE t.{name} END" for name in table.told]
    changes += [f"{name} = least(t.{name}, excluded.{name})" for name in earliest]
    changes += [f"{name} = coalesce(excluded.{name}, t.{name})" for name in kept]
    is_changed = [newer, *(f"excluded.{name} < coalesce(t.{name}, 'infinity')" for name in earliest)]
    is_changed += [f"excluded.{name} IS NOT NULL" for name in kept]
    return text(f"""
INSERT INTO {table.name} AS t ({key}, seen_at, {", ".join(types)})
SELECT DISTINCT ON ({key}) {key}, seen_at, {", ".join(found)}
FROM json_to_recordset(CAST(:rows AS json)) AS given (
    community_id text, platform text, {table.id} text, seen_at timestamptz,
    {", ".join(f"{name} {kind}" for name, kind in types.items())}
)
ORDER BY {key}, {_rank(table, "given")} DESC
ON CONFLICT ({key}) DO UPDATE SET {", ".join(changes)}, seen_at = greatest(t.seen_at, excluded.seen_at)
WHERE {" OR ".join(is_changed)}
""")


def _rank(table: _Table, row: str) -> str:
    """Return SQL by which notices about the same id are ordered, so that their order of arrival does not matter."""
    return f"({row}.seen_at, jsonb_build_array({', '.join(f'{row}.{name}' for name in table.told)}))"


# The rows are in the order of the key. Otherwise two batches with the same names could deadlock.
_UPSERTS: Final = {model: _upsert(table) for model, table in _TABLES.items()}

_ERASE_NAMES: Final = [
    text("UPDATE account_names SET name = NULL, username = NULL WHERE coalesce(name, username) IS NOT NULL"),
    text("UPDATE channel_names SET name = NULL WHERE name IS NOT NULL"),
    text("UPDATE space_names SET name = NULL WHERE name IS NOT NULL"),
]


def store(connection: Connection, names: Iterable[Name], *, keep_names: bool) -> None:
    """Store the names that are later than the stored ones. The caller commits. Repeating it is safe.

    keep_names: False to store only where channels belong and when accounts joined, and no name.
    """
    rows: defaultdict[object, list[dict[str, Any]]] = defaultdict(list)
    for each in names:
        rows[type(each)].append(_row(each, keep_names=keep_names))
    for model, statement in _UPSERTS.items():
        if rows[model]:
            connection.execute(statement, {"rows": orjson.dumps(rows[model]).decode()})


def erase_names(connection: Connection) -> None:
    """Delete every stored name, and keep where channels belong and when accounts joined. The caller commits."""
    for statement in _ERASE_NAMES:
        connection.execute(statement)


def _row(name: Name, *, keep_names: bool) -> dict[str, Any]:
    values = name.model_dump(mode="json", exclude={"kind", "id"})
    given = [field for field in _CLEANED if field in values]
    cleaned = {field: clean(values[field]) if keep_names else None for field in given}
    return {**values, **cleaned, _TABLES[type(name)].id: name.id}
