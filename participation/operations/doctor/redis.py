"""Redis or Valkey: does it keep what it acknowledges, and does it take events at all?"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

from participation import keys, redis_client
from participation.operations import status
from participation.operations.doctor import clocks
from participation.operations.doctor.clocks import Clock
from participation.operations.doctor.finding import Finding, fail, note, ok, warn, weak
from participation.operations.status import QueueState

TIMEOUT_SECONDS: Final = 3.0
MAJOR: Final = 7
"""First version of Redis whose scripts can be allowed to run while it is full. Valkey always could."""

# The header is what an older server does not understand. Whether writes are taken is asked by itself.
_PROBE: Final = "#!lua flags=no-writes,allow-oom\nreturn 1"
_CONFIG: Final = ("appendfsync", "no-appendfsync-on-rewrite", "save", "stop-writes-on-bgsave-error")

FULL: Final = "command not allowed when used memory"
"""How the refusal of a full server begins."""

KIB: Final = 1024
EMPTY: Final = '""'

REFUSES: Final = "`delay` raises, so no event is taken"
LOSES: Final = "accepted events are lost without a trace"
MACHINE: Final = "of accepted events can be lost if the machine of Redis goes down"
PROVIDER: Final = "ask the provider; or run a server whose settings can be read, see docs/deployment.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a server says of itself.

    info, config: its answers to INFO and CONFIG GET, None where it refuses them, as managed services do.
    script_error, write_error: its words when it refuses a script or an event; None when it takes them.
    pointer_age_seconds: since when nobody published the oldest pointer of an open batch again; None without a batch.
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
        """By its own word: what counts as used for that is not quite what INFO says."""
        return (self.write_error or "").startswith(FULL)


def read(url: str) -> Facts:
    """Ask the server. It writes nothing. Raises `ConfigError`, `Unavailable` or an error of redis."""
    with redis_client.connect(url, TIMEOUT_SECONDS) as client:
        client.ping()
        clock = clocks.compare(lambda: _now(client))
        return Facts(
            info=_unless_refused(client.info),
            config=_unless_refused(lambda: client.config_get(*_CONFIG)),
            script_error=_refusal(lambda: client.eval(_PROBE, 0)),
            write_error=_refusal(lambda: client.lpushx(keys.PROBE, "never written: this list is never there")),
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
    """Say why the server did not answer, and what to do."""
    if isinstance(error, BusyLoadingError):
        cure = "wait until it has read its file, then ask again"
    elif isinstance(error, AuthenticationError | ResponseError):
        cure = "correct user, password and database number in REDIS_URL"
    else:
        cure = "start it, or correct REDIS_URL"
    return fail("server", str(error), f"Redis does not answer: {REFUSES}", cure)


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield what the facts mean for the promise."""
    if facts.info is None:
        meaning = "it cannot be seen whether Redis keeps accepted events when it is killed"
        yield weak("server", "it refuses INFO", meaning, f"allow the user INFO and CONFIG GET, or {PROVIDER}")
    else:
        yield server(facts.info)
        yield from role(facts.info)
        yield from persistence(facts.info, facts.config)
        yield eviction(facts.info)
        yield memory(facts.info, facts.full)
    yield from writes(facts)


def server(info: Mapping[str, Any]) -> Finding:
    """Valkey, or Redis from version 7 on."""
    if "valkey_version" in info:
        return ok("server", f"Valkey {info['valkey_version']}")
    version = str(info["redis_version"])
    if int(version.partition(".")[0]) >= MAJOR:
        return ok("server", f"Redis {version}")
    meaning = "workers cannot take events out of this version of Redis, so nothing is stored"
    return fail("server", f"Redis {version}", meaning, f"install Redis {MAJOR} or later, or Valkey")


def role(info: Mapping[str, Any]) -> Iterator[Finding]:
    """A server that may be written to, whole and alone."""
    replicas = info.get("connected_slaves", 0)
    if info.get("role") == "slave":
        yield fail("role", "replica", f"a replica is read-only: {REFUSES}", "name the primary in REDIS_URL")
    elif replicas:
        yield note(
            "role",
            f"primary of {replicas} replica(s)",
            "a fail-over loses events that were acknowledged and not copied yet",
            "restart the primary where you can, before a replica takes its place",
        )
    if info.get("cluster_enabled"):
        meaning = "a script touches several keys at once, which a cluster refuses: nothing is stored"
        yield fail("cluster", "cluster mode is on", meaning, "use a server with `cluster-enabled no`")


def persistence(info: Mapping[str, Any], config: Mapping[str, str] | None) -> Iterator[Finding]:
    """The append-only file, how it is synced, and whether the last writing succeeded."""
    if not info.get("aof_enabled"):
        meaning = f"when Redis is killed, {LOSES}"
        yield fail("append-only file", "off", meaning, _set("appendonly", "yes"))
    else:
        yield _append_only(info)
        yield from sync(config)
    yield from _snapshots(info, config)


def _append_only(info: Mapping[str, Any]) -> Finding:
    name, cure = "append-only file", "look at the disk of Redis and into its log: is it full, or not writable?"
    if info.get("aof_last_write_status", "ok") != "ok":
        return fail(name, "on, but the last write failed", f"Redis cannot write its file: {REFUSES}", cure)
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        return warn(name, "on, but the last rewrite failed", "the file grows until the disk is full", cure)
    return ok(name, "on")


def sync(config: Mapping[str, str] | None) -> Iterator[Finding]:
    """When a write is on the disk: before the answer, once a second, or when the kernel likes."""
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
        yield weak(name, "yes", f"while its file is rewritten, up to half a minute {MACHINE}", _set(name, "no"))


def _snapshots(info: Mapping[str, Any], config: Mapping[str, str] | None) -> Iterator[Finding]:
    """Redis refuses writes after a failed snapshot, if it is to make any and to care."""
    failed = info.get("rdb_last_bgsave_status", "ok") != "ok"
    if failed and config and config.get("save") and config.get("stop-writes-on-bgsave-error") == "yes":
        meaning = f"Redis takes no writes after a failed snapshot: {REFUSES}"
        yield fail("snapshots", "the last one failed", meaning, f"{_set('save', EMPTY)}; or free space on its disk")


def eviction(info: Mapping[str, Any]) -> Finding:
    """What goes when memory is full: nothing may."""
    name, policy, limited = "maxmemory-policy", info.get("maxmemory_policy"), bool(info.get("maxmemory"))
    cure = _set(name, "noeviction")
    if policy == "noeviction":
        return ok(name, policy)
    if policy is None:
        return weak(name, "cannot be read", "any policy but `noeviction` may delete accepted events", PROVIDER)
    if policy.startswith("volatile"):
        # Nothing that holds an event ever expires.
        return warn(name, policy, "events stay, but what an import noted of its progress may be deleted", cure)
    if limited:
        return fail(name, policy, f"when its memory is full, Redis deletes events: {LOSES}", cure)
    return warn(name, policy, "as soon as `maxmemory` is set, Redis deletes events to make room", cure)


def memory(info: Mapping[str, Any], full: bool = False) -> Finding:
    """How much room is left for events that wait. full: whether the server refused a write for want of room."""
    limit, used = info.get("maxmemory", 0), info.get("used_memory", 0)
    if not limit:
        meaning = "when the machine runs out of memory, the kernel ends Redis instead of `delay` being refused"
        return note("memory", f"{_size(used)} used, no limit", meaning, _set("maxmemory", "1gb"))
    found = f"{_size(used)} of {_size(limit)} used ({used / limit:.0%})"
    cure = f"find out why events wait (`participation status`), or raise the limit: {_set('maxmemory', '2gb')}"
    if full:
        return fail("memory", found, f"Redis is full: {REFUSES}", cure)
    if used >= limit * redis_client.NEARLY_FULL:
        return warn("memory", found, "when Redis is full, `delay` raises", cure)
    return ok("memory", found)


def writes(facts: Facts) -> Iterator[Finding]:
    """Whether the server takes an event and a worker's script, asked of itself."""
    if facts.script_error is not None:
        meaning = "workers cannot take events out of Redis, so nothing is stored"
        cure = f"allow the user EVAL; Redis must be version {MAJOR} or later"
        yield fail("scripts", facts.script_error, meaning, cure)
    error = facts.write_error
    if error is None:
        yield ok("writes", "taken")
    elif facts.info is None or not facts.full:
        yield fail("writes", error, f"Redis refuses writes: {REFUSES}", "put right what its answer names")


def _set(name: str, value: str) -> str:
    """Return how to change a setting of a server that runs; to begin with the file would start it without its data."""
    return f"`CONFIG SET {name} {value}` now, then `{name} {value}` in the server's configuration"


def _size(count: float) -> str:
    units = ("bytes", "KiB", "MiB", "GiB")
    power = max(n for n in range(len(units)) if n == 0 or count >= KIB**n)
    return f"{count / KIB**power:,.{min(power, 1)}f} {units[power]}"
