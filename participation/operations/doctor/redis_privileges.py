"""What a Redis user must be allowed, for bots, workers, Beat, Flower and the commands, and what it lacks."""

from collections.abc import Sequence
from typing import Final

from redis import Redis
from redis.connection import AbstractConnection
from redis.exceptions import NoPermissionError, ResponseError

from participation import keys

KEY_PATTERNS: Final = ("participation.*", "_kombu.binding*", "celeryev.*", "*.celery.pidbox")
"""Our keys, and those of Celery: bindings of queues, and mailboxes of workers."""

_REFUSALS: Final = ("unknown command", "NOPERM")
"""Parts of errors: a server without the command, and EXEC where it is not allowed."""

_TRANSACTION: Final = ("EXEC", "DISCARD", "MULTI")
_OPTIONAL: Final = ("INFO", "CONFIG GET")
"""Without these, everything works, but `doctor` cannot read the settings of the server."""

_ANY: Final = "x"
_BATCH: Final = keys.batch("probe")
_IMPORT: Final = keys.import_progress("probe")
_BINDING: Final = "_kombu.binding.participation.flush"
_DEADLINES: Final = "_kombu.binding_deadlines"
_MAILBOX: Final = "probe.reply.celery.pidbox"

_COMMANDS: Final = (
    # `publish`, `imports`, and bots in other languages
    ("LPUSH", keys.EVENTS, _ANY),
    ("LPUSHX", keys.PROBE, _ANY),
    ("SET", _IMPORT, _ANY, "EX", "1"),
    ("GET", _IMPORT),
    *((name,) for name in _TRANSACTION),
    # `ingest`: the scripts, and the commands in them
    ("EVAL", "return 1", "1", keys.BATCHES),
    ("EXISTS", _BATCH),
    ("LLEN", keys.FLUSH),
    ("LRANGE", _BATCH, "0", "0"),
    ("LTRIM", keys.EVENTS, "0", "0"),
    ("LPUSH", keys.FLUSH, _ANY),
    ("LPUSH", _BATCH, _ANY),
    ("RENAME", keys.EVENTS, _BATCH),
    ("TIME",),
    ("DEL", _BATCH),
    ("ZADD", keys.BATCHES, "0", _ANY),
    ("ZCARD", keys.BATCHES),
    ("ZRANGE", keys.BATCHES, "0", "0"),
    ("ZRANGEBYSCORE", keys.BATCHES, "0", "0"),
    ("ZREM", keys.BATCHES, _ANY),
    ("LINDEX", keys.EVENTS, "0"),
    # Celery and kombu
    ("PING",),
    ("SELECT", "0"),
    ("BRPOP", keys.FLUSH, keys.NIGHTLY, "1"),
    ("LPUSH", keys.NIGHTLY, _ANY),
    ("LPUSH", _MAILBOX, _ANY),
    ("BRPOP", _MAILBOX, "1"),
    ("DEL", _MAILBOX),
    ("EVALSHA", "0" * 40, "1", _BINDING),
    ("SCRIPT LOAD", "return 1"),
    ("SCRIPT EXISTS", "0" * 40),
    ("DEL", _BINDING),
    ("SADD", _BINDING, _ANY),
    ("SREM", _BINDING, _ANY),
    ("SMEMBERS", _BINDING),
    ("ZADD", _DEADLINES, "0", _ANY),
    ("ZREM", _DEADLINES, _ANY),
    ("ZRANGEBYSCORE", _DEADLINES, "0", "0"),
    ("UNSUBSCRIBE", _ANY),
    ("PUNSUBSCRIBE", _ANY),
    # `doctor` and the start of a worker
    *((name, "appendfsync") for name in _OPTIONAL),
)


def commands(database: int) -> list[tuple[str, ...]]:
    """Return every command that our programs send, with a key or channel of each kind."""
    used = []
    for channel in channels(database):
        used += [("PUBLISH", channel.replace("*", "probe"), _ANY), ("PSUBSCRIBE", channel), ("SUBSCRIBE", channel)]
    return [*_COMMANDS, *used]


def channels(database: int) -> tuple[str, ...]:
    """Return the channels by which Celery sends events and remote control, as a user's rules name them."""
    return f"/{database}.celeryev/*", f"/{database}.celery.pidbox"


def rules(database: int) -> str:
    """Return the rules of a user that may do everything that our programs do, as `ACL SETUSER` wants them."""
    names = dict.fromkeys(command[0].lower().replace(" ", "|") for command in commands(database))
    parts = [f"~{pattern}" for pattern in KEY_PATTERNS] + [f"&{name}" for name in channels(database)]
    return " ".join(["resetkeys", "resetchannels", "-@all", *parts, *(f"+{name}" for name in sorted(names))])


def missing_privileges(client: Redis, database: int) -> tuple[str, ...]:
    """Return the commands that our user may not send, for example "ZADD participation.batches".

    Sends all of them in a transaction that is discarded: Redis checks each when it is queued, and runs none.
    """
    queued = [command for command in commands(database) if command[0] not in (*_TRANSACTION, *_OPTIONAL)]
    pool = client.connection_pool
    connection = pool.connection_class(**pool.connection_kwargs)
    try:
        # Outside of a transaction, the first two are errors that change nothing, and the last one begins it.
        if missing := [name for name in _TRANSACTION if _refused(connection, [(name,)])]:
            return tuple(missing)
        return tuple(dict.fromkeys(_refused(connection, queued)))
    finally:
        connection.disconnect()  # Redis discards the transaction


def _refused(connection: AbstractConnection, sent: Sequence[tuple[str, ...]]) -> list[str]:
    """Send commands in one round trip; return those that our user may not send, or that the server does not know."""
    words = [(*command[0].split(), *command[1:]) for command in sent]
    connection.send_packed_command(connection.pack_commands(words))  # type: ignore[no-untyped-call, unused-ignore]
    return [" ".join(command[:2]) for command in sent if _is_refused(connection)]


def _is_refused(connection: AbstractConnection) -> bool:
    """Read the answer to one command."""
    try:
        connection.read_response()
    except ResponseError as error:
        return isinstance(error, NoPermissionError) or any(words in str(error) for words in _REFUSALS)
    return False
