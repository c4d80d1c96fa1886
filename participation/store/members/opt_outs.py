"""Accounts that opted out. Only a keyed hash of each account is stored.

The hash has a key because account ids are short: without it, an attacker could hash all possible ids. The key is in the
same database. So a person with the whole database can test whether a certain account opted out, but cannot list them.
"""

import hmac
import secrets
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache

import orjson
from sqlalchemy import Connection, text

from participation.accounts import Account
from participation.errors import ConfigError
from participation.limits import AHEAD
from participation.store import locks

# Two statements in one round trip. The second one sees what was committed while the first one waited.
_LOCK_AND_SELECT_KEY = text(f"""
{locks.SHARE_OPT_OUTS};
SELECT EXISTS (SELECT FROM opt_outs), (SELECT key FROM hash_keys WHERE name = 'opt_outs')
""")

_SELECT_KEY = text("SELECT key FROM hash_keys WHERE name = 'opt_outs'")
_INSERT_KEY = text("INSERT INTO hash_keys (name, key) VALUES ('opt_outs', :key) ON CONFLICT DO NOTHING")

_INSERT_OPT_OUTS = text("""
INSERT INTO opt_outs AS o (account_hash, until)
SELECT unnest(CAST(:hashes AS bytea[])), coalesce(now() + CAST(:margin AS interval), 'infinity')
ON CONFLICT (account_hash) DO UPDATE SET until = greatest(o.until, excluded.until)
""")

_END_OPT_OUTS = text("""
WITH ended AS (
    SELECT account_hash, until FROM opt_outs
    WHERE account_hash = ANY(CAST(:hashes AS bytea[])) AND until > now()
    FOR UPDATE
), admitted AS (
    UPDATE opt_outs AS o SET until = now() FROM ended WHERE o.account_hash = ended.account_hash
)
SELECT count(*) FILTER (WHERE NOT isfinite(until)) FROM ended
""")

# Python's datetime has no infinity.
_SELECT_OPT_OUTS = text("""
SELECT account_hash, CASE WHEN isfinite(until) THEN until END AS until
FROM opt_outs WHERE account_hash = ANY(CAST(:hashes AS bytea[]))
""")


def lock_and_read_key(connection: Connection) -> bytes | None:
    """Make opt-outs wait until this transaction ends; return the key of the hashes, or None without any opt-outs.

    Raises `ConfigError` if the key is lost.
    """
    is_used, key = connection.execute(_LOCK_AND_SELECT_KEY).one()
    if not is_used:
        return None
    if key is None:
        raise ConfigError("hash_keys does not contain the key of opt_outs: restore both tables from the same backup")
    return bytes(key)


def add(connection: Connection, accounts: Collection[Account], *, forever: bool) -> None:
    """Discard the events of these accounts up to now, or for ever. Repeating it is safe.

    "Now" includes the 5 minutes by which a bot's clock may be ahead. The caller commits; from then on, every
    worker discards the events. This waits for transactions that have already read the opt-outs.
    """
    locks.lock_opt_outs(connection)
    connection.execute(_INSERT_KEY, {"key": secrets.token_bytes(32)})
    connection.execute(
        _INSERT_OPT_OUTS, {"hashes": _hashes(connection, accounts), "margin": None if forever else AHEAD}
    )


def remove(connection: Connection, accounts: Collection[Account]) -> int:
    """Keep the events of these accounts again from now on; return how many had opted out. The caller commits.

    This also ends the few minutes after an erasure in which events are discarded.
    """
    return int(connection.scalar(_END_OPT_OUTS, {"hashes": _hashes(connection, accounts)}) or 0)


def is_any_opted_out(connection: Connection, accounts: Collection[Account]) -> bool:
    """Return whether one of the accounts has opted out and not opted in again."""
    key = connection.scalar(_SELECT_KEY)
    return key is not None and None in find(connection, bytes(key), accounts).values()


def find(connection: Connection, key: bytes, accounts: Collection[Account]) -> dict[Account, datetime | None]:
    """Return the accounts whose events are discarded, and until which time; None means for ever."""
    by_hash = {account_hash(key, *account): account for account in accounts}
    rows = connection.execute(_SELECT_OPT_OUTS, {"hashes": list(by_hash)})
    return {by_hash[bytes(row.account_hash)]: row.until for row in rows}


def _hashes(connection: Connection, accounts: Collection[Account]) -> list[bytes]:
    key = connection.scalar(_SELECT_KEY)
    return [] if key is None else [account_hash(bytes(key), *account) for account in accounts]


@lru_cache(maxsize=16_384)
def account_hash(key: bytes, platform: str, account_id: str) -> bytes:
    """Return the HMAC-SHA256 of the JSON array of platform and account id, as `orjson` writes it."""
    return hmac.digest(key, orjson.dumps([platform, account_id]), "sha256")
