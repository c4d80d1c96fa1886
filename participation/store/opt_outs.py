"""Accounts whose events are not kept: a keyed hash of each, and nothing else about it.

Account ids can be counted through, so a plain hash of one would tell it. The key lies in the same database: who has all
of that can test whether a certain account is among these, and nobody can list them.
"""

import hmac
import secrets
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Final

import orjson
from sqlalchemy import Connection, text

from participation.errors import ConfigError
from participation.event import AHEAD
from participation.store.members import Account

LOCK: Final = 7_420_004
"""Advisory lock: shared by whoever stores events and has looked who opted out, exclusive for whoever does."""

# Two statements in one round trip: the second one sees what was committed while the first one waited.
_HOLD = text("""
SELECT pg_advisory_xact_lock_shared(:lock);
SELECT EXISTS (SELECT FROM opt_outs), (SELECT key FROM hash_keys WHERE name = 'opt_outs')
""")

_KEY = text("SELECT key FROM hash_keys WHERE name = 'opt_outs'")
_MAKE_KEY = text("INSERT INTO hash_keys (name, key) VALUES ('opt_outs', :key) ON CONFLICT DO NOTHING")

_BAR = text("""
INSERT INTO opt_outs AS o (account_hash, until)
SELECT unnest(CAST(:hashes AS bytea[])), coalesce(now() + CAST(:margin AS interval), 'infinity')
ON CONFLICT (account_hash) DO UPDATE SET until = greatest(o.until, excluded.until)
""")

_ADMIT = text("""
WITH ended AS (
    SELECT account_hash, until FROM opt_outs
    WHERE account_hash = ANY(CAST(:hashes AS bytea[])) AND until > now()
    FOR UPDATE
), admitted AS (
    UPDATE opt_outs AS o SET until = now() FROM ended WHERE o.account_hash = ended.account_hash
)
SELECT count(*) FILTER (WHERE NOT isfinite(until)) FROM ended
""")

# Python has no moment for infinity.
_FIND = text("""
SELECT account_hash, CASE WHEN isfinite(until) THEN until END AS until
FROM opt_outs WHERE account_hash = ANY(CAST(:hashes AS bytea[]))
""")


def hold(connection: Connection) -> bytes | None:
    """Keep everybody from opting out until this transaction ends; return the key, or None if nobody ever has.

    Raises `ConfigError` if the key is lost.
    """
    is_used, key = connection.execute(_HOLD, {"lock": LOCK}).one()
    if not is_used:
        return None
    if key is None:
        raise ConfigError("hash_keys lacks the key of opt_outs: restore both tables from the same backup")
    return bytes(key)


def bar(connection: Connection, accounts: Collection[Account], *, forever: bool) -> None:
    """Keep nothing of what the accounts did until now, or of what they ever will do. A repeat is safe.

    Until now means until no clock of a bot can be behind: events may be ahead of theirs. The caller commits, and from
    then on every worker knows; it waits for those that have looked before.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection.execute(_MAKE_KEY, {"key": secrets.token_bytes(32)})
    connection.execute(_BAR, {"hashes": _hashes(connection, accounts), "margin": None if forever else AHEAD})


def admit(connection: Connection, accounts: Collection[Account]) -> int:
    """Keep again what these accounts do from now on; return how many had opted out. The caller commits.

    Also where they only were forgotten, minutes ago.
    """
    return int(connection.scalar(_ADMIT, {"hashes": _hashes(connection, accounts)}) or 0)


def are_out(connection: Connection, accounts: Collection[Account]) -> bool:
    """Whether one of the accounts has opted out and not come back."""
    key = connection.scalar(_KEY)
    return key is not None and None in find(connection, bytes(key), accounts).values()


def find(connection: Connection, key: bytes, accounts: Collection[Account]) -> dict[Account, datetime | None]:
    """Return those of whom something is not kept, and until when; None for ever."""
    by_hash = {account_hash(key, *account): account for account in accounts}
    rows = connection.execute(_FIND, {"hashes": list(by_hash)})
    return {by_hash[bytes(row.account_hash)]: row.until for row in rows}


def _hashes(connection: Connection, accounts: Collection[Account]) -> list[bytes]:
    key = connection.scalar(_KEY)
    return [] if key is None else [account_hash(bytes(key), *account) for account in accounts]


@lru_cache(maxsize=16_384)
def account_hash(key: bytes, platform: str, account_id: str) -> bytes:
    """Return the HMAC-SHA256 of the JSON array of both, as `orjson` writes it."""
    return hmac.digest(key, orjson.dumps([platform, account_id]), "sha256")
