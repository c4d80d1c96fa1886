"""Redis or Valkey: does it accept events, and does it keep the events that it has accepted?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

from participation import keys, redis_client
from participation.errors import ConfigError
from participation.operations import status
from participation.operations.doctor import clocks, redis_privileges
from participation.operations.doctor.clocks import Clock
from participation.operations.doctor.finding import Finding, fail, note, ok, warn, weak
from participation.operations.doctor.redis_privileges import missing_privileges
from participation.operations.status import QueueState
from participation.redis_url import RedisServer

TIMEOUT_SECONDS: Final = 3.0
MAJOR: Final = 7
"""First version of Redis that can run a script while it is full. All versions of Valkey can."""

# An older server does not understand the header. `write_error` checks whether writes are accepted.
_PROBE: Final = "#!lua flags=no-writes,allow-oom\nreturn 1"
_CONFIG: Final = ("appendfsync", "no-appendfsync-on-rewrite", "save", "stop-writes-on-bgsave-error")

FULL: Final = "command not allowed when used memory"
"""Beginning of the error of a full server."""

KIB: Final = 1024
EMPTY: Final = '""'

REFUSES: Final = "`delay` raises an error, so no event is accepted"
LOSES: Final = "accepted events are lost unnoticed"
MACHINE: Final = "of accepted events can be lost if the machine of Redis goes down"
PROVIDER: Final = "ask your provider, or use a server whose settings can be read (docs/deployment.md)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The answers of a server.

    info, config: the answers to INFO and CONFIG GET. None if the server refuses them, as managed services do.
    script_error, write_error: the error if the server refuses a script or an event. None if it accepts them.
    pointer_age_seconds: how long ago the oldest pointer of an open batch was published. None if no batch is open.
    """

    info: Mapping[str, Any] | None
    config: Mapping[str, str] | None
    script_error: str | None
    write_error: str | None
    clock: Clock
    waiting: QueueState
    pointer_age_seconds: float | None

    @property
    def full(self) -> bool:
        """Whether the server refused a write because it is full. INFO does not count memory in exactly the same way."""
        return FULL in (self.write_error or "")


class MissingPrivilegesError(ConfigError):
    """Our user may not send these commands, so the server can be asked for nothing else."""

    def __init__(self, missing: Sequence[str], server: RedisServer) -> None:
        super().__init__(f"Redis does not allow {', '.join(missing)}")
        self.missing = missing
        self.server = server


def read(url: str) -> Facts:
    """Ask the server without writing to it.

    Raises `MissingPrivilegesError`, another `ConfigError`, `Unavailable` or an error of redis.
    """
    with redis_client.connect(url, TIMEOUT_SECONDS) as client:
        server = redis_client.parse(url)
        if missing := missing_privileges(client, server.database):
            raise MissingPrivilegesError(missing, server)
        client.ping()
        clock = clocks.compare(lambda: _now(client))
        return Facts(
            info=_unless_refused(client.info),
            config=_unless_refused(lambda: client.config_get(*_CONFIG)),
            script_error=_refusal(lambda: client.eval(_PROBE, 0)),
            write_error=_refusal(lambda: client.lpushx(keys.PROBE, "never written, because this list never exists")),
            clock=clock,
            waiting=status.read_queue_state(client),
            pointer_age_seconds=_pointer_age(client),
        )


def _now(client: Redis) -> float:
    seconds, microseconds = client.time()
    return seconds + microseconds / 1_000_000


def _unless_refused(ask: Callable[[], Any]) -> Mapping[str, Any] | None:
    try:
        return cast("Mapping[str, Any]", ask())
    except ResponseError:
        return None


def _refusal(attempt: Callable[[], Any]) -> str | None:
    try:
        attempt()
    except ResponseError as error:
        return str(error)
    return None


def _pointer_age(client: Redis) -> float | None:
    oldest = cast("list[tuple[bytes, float]]", client.zrange(keys.BATCHES, 0, 0, withscores=True))
    return max(0.0, _now(client) - oldest[0][1]) if oldest else None


def unreachable(error: RedisError) -> Finding:
    """Return why the server did not answer, and what to do."""
    if isinstance(error, BusyLoadingError):
        cure = "wait until it has loaded its data, then run `participation doctor` again"
    elif isinstance(error, AuthenticationError | ResponseError):
        cure = "correct user, password and database number in REDIS_URL"
    else:
        cure = "start it, or correct REDIS_URL"
    return fail("server", str(error), f"Redis does not answer: {REFUSES}", cure)


def rights(error: MissingPrivilegesError) -> Finding:
    """Return which commands our user lacks, and how to allow them."""
    user, rules = error.server.username, redis_privileges.rules(error.server.database)
    who = f"`ACL SETUSER {user} {rules}`" if user else f"`ACL SETUSER participation on >PASSWORD {rules}`"
    save = "then `ACL SAVE` if Redis has an aclfile, otherwise `CONFIG REWRITE`"
    # Not for `default`: an administrator with these rules could not change them any more.
    cure = f"as an administrator of Redis, run {who}, {save}{'' if user else ', and put this user into REDIS_URL'}"
    meaning = "bots, workers or commands cannot do their work: events are not accepted or not stored"
    return fail("rights", f"missing: {', '.join(error.missing)}", meaning, cure)


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the server."""
    if facts.info is None:
        meaning = "nobody can check whether Redis keeps accepted events when it is killed"
        yield weak("server", "it refuses INFO", meaning, f"allow INFO and CONFIG GET for this user, {PROVIDER}")
    else:
        yield server(facts.info)
        yield from role(facts.info)
        yield from persistence(facts.info, facts.config)
        yield eviction(facts.info)
        yield memory(facts.info, facts.full)
    yield from writes(facts)
    yield ok("rights", "the user in REDIS_URL may send every command that participation needs")  # `read` has checked it


def server(info: Mapping[str, Any]) -> Finding:
    """Check the version: Valkey, or Redis 7 or later."""
    if "valkey_version" in info:
        return ok("server", f"Valkey {info['valkey_version']}")
    version = str(info["redis_version"])
    if int(version.partition(".")[0]) >= MAJOR:
        return ok("server", f"Redis {version}")
    meaning = "workers cannot take events out of this version of Redis, so nothing is stored"
    return fail("server", f"Redis {version}", meaning, f"install Redis {MAJOR} or later, or Valkey")


def role(info: Mapping[str, Any]) -> Iterator[Finding]:
    """Check that the server is a primary, not a replica, and not a cluster."""
    replicas = info.get("connected_slaves", 0)
    if info.get("role") == "slave":
        yield fail("role", "replica", f"a replica is read-only: {REFUSES}", "set REDIS_URL to the primary")
    elif replicas:
        yield note(
            "role",
            f"primary of {replicas} replica(s)",
            "a failover loses events that were acknowledged but not copied yet",
            "if the primary fails, restart it if you can, instead of promoting a replica",
        )
    if info.get("cluster_enabled"):
        meaning = "a cluster refuses scripts that use several keys, so nothing is stored"
        yield fail("cluster", "cluster mode is on", meaning, "use a server with `cluster-enabled no`")


def persistence(info: Mapping[str, Any], config: Mapping[str, str] | None) -> Iterator[Finding]:
    """Check the append-only file: is it on, when is it synced, and did the last write succeed?"""
    if not info.get("aof_enabled"):
        meaning = f"when Redis is killed, {LOSES}"
        yield fail("append-only file", "off", meaning, _set("appendonly", "yes"))
    else:
        yield _append_only(info)
        yield from sync(config)
    yield from _snapshots(info, config)


def _append_only(info: Mapping[str, Any]) -> Finding:
    name, cure = "append-only file", "check the log of Redis, and whether its disk is full or not writable"
    if info.get("aof_last_write_status", "ok") != "ok":
        return fail(name, "on, but the last write failed", f"Redis cannot write its file: {REFUSES}", cure)
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        return warn(name, "on, but the last rewrite failed", "the file grows until the disk is full", cure)
    return ok(name, "on")


def sync(config: Mapping[str, str] | None) -> Iterator[Finding]:
    """Check when a write is on disk: before the answer, once a second, or when the kernel decides."""
    name, mode = "appendfsync", (config or {}).get("appendfsync")
    if mode == "always":
        yield ok(name, "always")
    elif mode is None:
        yield weak(name, "cannot be read", f"unless it is `always`, about a second or more {MACHINE}", PROVIDER)
    else:
        lost = "up to about a second" if mode == "everysec" else "up to half a minute"
        yield weak(name, mode, f"{lost} {MACHINE}", _set(name, "always"))
    name = "no-appendfsync-on-rewrite"
    if (config or {}).get(name) == "yes":
        yield weak(
            name, "yes", f"during a rewrite of the append-only file, up to half a minute {MACHINE}", _set(name, "no")
        )


def _snapshots(info: Mapping[str, Any], config: Mapping[str, str] | None) -> Iterator[Finding]:
    """Check whether a failed snapshot stops writes. It does if both settings that are read here are on."""
    failed = info.get("rdb_last_bgsave_status", "ok") != "ok"
    if failed and config and config.get("save") and config.get("stop-writes-on-bgsave-error") == "yes":
        meaning = f"Redis takes no writes after a failed snapshot: {REFUSES}"
        yield fail("snapshots", "the last one failed", meaning, f"{_set('save', EMPTY)}; or free space on its disk")


def eviction(info: Mapping[str, Any]) -> Finding:
    """Check that Redis deletes nothing when its memory is full."""
    name, policy, limited = "maxmemory-policy", info.get("maxmemory_policy"), bool(info.get("maxmemory"))
    cure = _set(name, "noeviction")
    if policy == "noeviction":
        return ok(name, policy)
    if policy is None:
        return weak(name, "cannot be read", "every policy except `noeviction` may delete accepted events", PROVIDER)
    if policy.startswith("volatile"):
        # No key that contains events has an expiry time.
        return warn(name, policy, "events are not deleted, but the progress of an import may be", cure)
    if limited:
        return fail(name, policy, f"when its memory is full, Redis deletes events: {LOSES}", cure)
    return warn(name, policy, "if you set `maxmemory`, Redis deletes events when its memory is full", cure)


def memory(info: Mapping[str, Any], full: bool = False) -> Finding:
    """Check how much memory is left for waiting events. full: whether the server refused a write because it is full."""
    limit, used = info.get("maxmemory", 0), info.get("used_memory", 0)
    if not limit:
        meaning = (
            "when the machine runs out of memory, the kernel kills Redis; with a limit, `delay` raises an error instead"
        )
        return note("memory", f"{_size(used)} used, no limit", meaning, _set("maxmemory", "1gb"))
    found = f"{_size(used)} of {_size(limit)} used ({used / limit:.0%})"
    cure = f"find out why events wait (`participation status`), or raise the limit: {_set('maxmemory', '2gb')}"
    if full:
        return fail("memory", found, f"Redis is full: {REFUSES}", cure)
    if used >= limit * redis_client.NEARLY_FULL:
        return warn("memory", found, "when Redis is full, `delay` raises an error", cure)
    return ok("memory", found)


def writes(facts: Facts) -> Iterator[Finding]:
    """Check whether the server accepts an event and the script of a worker."""
    if facts.script_error is not None:
        meaning = "workers cannot take events out of Redis, so nothing is stored"
        cure = f"allow EVAL for this user, and use Redis {MAJOR} or later"
        yield fail("scripts", facts.script_error, meaning, cure)
    error = facts.write_error
    if error is None:
        yield ok("writes", "accepted")
    elif facts.info is None or not facts.full:
        yield fail("writes", error, f"Redis refuses writes: {REFUSES}", "correct what the error names")


def _set(name: str, value: str) -> str:
    """Return how to change a setting.

    The running server comes first: a restart with a new `appendonly yes` in the file would start without the data.
    """
    return f"run `CONFIG SET {name} {value}`, then add `{name} {value}` to the configuration file"


def _size(count: float) -> str:
    units = ("bytes", "KiB", "MiB", "GiB")
    power = max(n for n in range(len(units)) if n == 0 or count >= KIB**n)
    return f"{count / KIB**power:,.{min(power, 1)}f} {units[power]}"
