"""PostgreSQL: is a commit on disk, and do the tables exist that store each event exactly once?"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Engine

from participation.errors import ConfigError, Unavailable
from participation.operations.doctor import clocks
from participation.operations.doctor.clocks import Clock
from participation.operations.doctor.finding import Finding, fail, note, ok, warn, weak
from participation.store import server as reads
from participation.store.database import connect, transaction
from participation.store.days import due
from participation.store.schema import inspection, migrate, partitions
from participation.store.schema.inspection import Tables
from participation.store.server import Server
from participation.store.status import StoredState, read_stored_state

STATEMENT_SECONDS: Final = 4.0
OLDEST: Final = 14
"""First version with multiranges, `date_bin` and `bit_count`, which the computation of days needs."""

TESTED: Final = 18
NEARLY_FULL: Final = 0.9

STAYS: Final = "events wait in Redis and are not stored"
MIGRATE: Final = "participation migrate"


@dataclass(frozen=True, slots=True)
class Schema:
    """Missing migrations and partitions. later: the version of the schema, if it is newer than this program."""

    missing: tuple[str, ...]
    later: str | None
    partitions_missing: tuple[str, ...]
    this_month_missing: bool


@dataclass(frozen=True, slots=True)
class Work:
    """What is stored and what waits. oldest_due_at: since when the oldest ended day is due. None if no day is due."""

    stored: StoredState
    oldest_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    """The answers of a server. schema: the text of the error if it cannot be read. work: None if it cannot be read."""

    server: Server
    clock: Clock
    tables: Tables
    schema: Schema | str
    work: Work | None


def read(url: str, partitions_ahead_months: int) -> Facts:
    """Ask the server. Raises `ConfigError` or `Unavailable`."""
    engine = connect(url, STATEMENT_SECONDS)
    try:
        with _short_transaction(engine) as connection:
            server = reads.read_server(connection)
            clock = clocks.compare(lambda: reads.read_clock(connection))
            tables = inspection.inspect_tables(connection)
        return Facts(server, clock, tables, *_inside(engine, partitions_ahead_months))
    finally:
        engine.dispose()


@contextmanager
def _short_transaction(engine: Engine) -> Iterator[Connection]:
    with transaction(engine) as connection:
        reads.set_statement_timeout(connection, STATEMENT_SECONDS)
        yield connection


def _inside(engine: Engine, partitions_ahead_months: int) -> tuple[Schema | str, Work | None]:
    try:
        missing, later = migrate.schema_state(engine)
        if missing:
            return Schema(tuple(missing), later, (), False), None
        with _short_transaction(engine) as connection:
            now = datetime.now(UTC)
            lacking = partitions.missing(connection, now, partitions_ahead_months)
            this_month = partitions.missing(connection, now, 0)
            work = Work(read_stored_state(connection), due.oldest_due_at(connection))
            return Schema((), later, tuple(lacking), bool(this_month)), work
    except (ConfigError, Unavailable) as error:
        return str(error), None


def judge(server: Server) -> Iterator[Finding]:
    """Yield the findings about the settings of the server."""
    settings = server.settings
    yield version(settings)
    yield from writable(server)
    yield on_disk(settings)
    yield commit(server)
    yield pages(settings)
    yield encoding(server)
    yield connections(server)
    if settings.get("data_checksums") == "off":
        meaning = "data that the disk damages is noticed late or never"
        yield note("data_checksums", "off", meaning, "stop the server, then run `pg_checksums --enable`")


def version(settings: Mapping[str, str]) -> Finding:
    """Check that our queries run on this version."""
    found, major = settings["server_version"], int(settings["server_version_num"]) // 10_000
    cure = f"install PostgreSQL {TESTED}"
    if major < OLDEST:
        meaning = f"PostgreSQL before {OLDEST} lacks functions that our queries need, so no day is computed"
        return fail("server", f"PostgreSQL {found}", meaning, cure)
    if major < TESTED:
        meaning = f"participation is tested with PostgreSQL {TESTED}; this version is not tested, but may work"
        return warn("server", f"PostgreSQL {found}", meaning, cure)
    return ok("server", f"PostgreSQL {found}")


def writable(server: Server) -> Iterator[Finding]:
    """Check that the server accepts writes."""
    if server.in_recovery:
        meaning = f"a standby is read-only: {STAYS}"
        yield fail("role", "standby", meaning, "set DATABASE_URL to the primary")
    elif server.settings.get("transaction_read_only") == "on":
        name = "default_transaction_read_only"
        yield fail(name, "on", f"PostgreSQL is read-only: {STAYS}", _reset(server, name, "off"))


def on_disk(settings: Mapping[str, str]) -> Finding:
    """Check that the server waits for its disk."""
    if settings["fsync"] == "on":
        return ok("fsync", "on")
    meaning = "if the machine of PostgreSQL goes down, stored events are lost and the database may be damaged"
    return fail("fsync", "off", meaning, _system("fsync", "on"))


def commit(server: Server) -> Finding:
    """Check that a commit is on disk when PostgreSQL confirms it, because its events are then deleted from Redis."""
    name = "synchronous_commit"
    mode, standbys = server.settings[name], server.settings.get("synchronous_standby_names")
    if mode == "off":
        # Not only if the machine goes down: the server keeps unwritten commits in its own memory.
        meaning = (
            "when PostgreSQL is killed, up to about a second of stored events is lost, and Redis no longer has them"
        )
        return fail(name, mode, meaning, _reset(server, name, "on"))
    if mode == "local" and standbys:
        meaning = "a failover loses events that were stored but not copied yet"
        return note(name, mode, meaning, _reset(server, name, "on"))
    if standbys:
        meaning = "a commit waits for its standbys; while too few of them run, nothing is stored"
        return note(name, f"{mode}, with {standbys}", meaning, "configure more standbys than a commit waits for")
    return ok(name, mode)


def pages(settings: Mapping[str, str]) -> Finding:
    """Check that a page that was written only in part can be repaired."""
    name = "full_page_writes"
    if settings[name] == "on":
        return ok(name, "on")
    meaning = "if the machine of PostgreSQL goes down in the middle of a write, stored events may be damaged"
    return weak(name, "off", meaning, _system(name, "on"))


def encoding(server: Server) -> Finding:
    """Check that the database can store every text of an event."""
    found = server.settings["server_encoding"]
    if found == "UTF8":
        return ok("encoding", found)
    cure = "run `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`, and set DATABASE_URL to the new database"
    return fail("encoding", found, "characters that this encoding does not have are refused or misread", cure)


def connections(server: Server) -> Finding:
    """Check how many connections are left for workers."""
    most = int(server.settings["max_connections"])
    found = f"{server.connections} of {most} open"
    if server.connections < most * NEARLY_FULL:
        return ok("connections", found)
    cure = f"run fewer worker processes; or `ALTER SYSTEM SET max_connections = {most * 2}` and restart PostgreSQL"
    return warn("connections", found, "each worker process needs a connection, and waits if none is free", cure)


def judge_schema(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the tables."""
    schema = facts.schema
    if isinstance(schema, str):
        yield from rights(facts)
        yield fail("migrations", schema, f"the tables cannot be read: {STAYS}", "correct what the error names")
        return
    if schema.missing:
        found = f"{len(schema.missing)} missing ({', '.join(schema.missing)})"
        yield fail("migrations", found, f"the tables are missing or too old: {STAYS}", f"run `{MIGRATE}`")
        return
    yield migrations(schema)
    yield from shape(facts.tables)
    yield months(schema)
    yield from rights(facts)


def migrations(schema: Schema) -> Finding:
    """Check that the tables are not newer than this program."""
    if schema.later is None:
        return ok("migrations", "all are applied")
    cure = "install the version of participation that migrated the database"
    return warn(
        "migrations",
        f"{schema.later} is newer than this program",
        "this program ignores what is new in the tables",
        cure,
    )


def shape(tables: Tables) -> Iterator[Finding]:
    """Check that all tables exist, store each event only once, and survive a crash."""
    for name in tables.gone:
        yield fail("tables", f"{name} is missing", f"a table is missing: {STAYS}", "restore it from a backup")
    for name in tables.without_key:
        columns = ", ".join(inspection.primary_key(name))
        cure = f"`ALTER TABLE {name} ADD PRIMARY KEY ({columns})`, after you delete duplicate rows"
        yield fail("primary key", f"missing on {name}", "the same row can be stored twice", cure)
    for name in tables.unlogged:
        cure = f"`ALTER TABLE {name} SET LOGGED`"
        yield fail("tables", f"{name} is unlogged", "after a crash of PostgreSQL an unlogged table is empty", cure)
    if not (tables.gone or tables.without_key or tables.unlogged):
        yield ok("tables", "all exist, are logged and have their primary keys")


def months(schema: Schema) -> Finding:
    """Check that this month and the coming months have partitions."""
    lacking = schema.partitions_missing
    if not lacking:
        return ok("partitions", "created in advance")
    found = f"missing: {', '.join(lacking)}"
    meaning = "Beat and a worker create them every hour; a flush creates a missing partition that it needs"
    if schema.this_month_missing:
        meaning = "not even this month has a partition; the next flush creates it"
    return warn("partitions", found, meaning, f"run `{MIGRATE}`, and check that Beat and a worker run")


def rights(facts: Facts) -> Iterator[Finding]:
    """Check that our role may do everything that workers do."""
    tables, server = facts.tables, facts.server
    if tables.lacking:
        cure = f"`GRANT … TO {server.role}` for each, or `ALTER TABLE … OWNER TO {server.role}`"
        meaning = f"our role lacks privileges on the tables: {STAYS}"
        yield fail("rights", f"missing: {', '.join(tables.lacking)}", meaning, cure)
    if not tables.makes_partitions:
        cure = (
            f"`ALTER TABLE participation_events OWNER TO {server.role}`, `GRANT CREATE ON SCHEMA public TO "
            f"{server.role}`, `GRANT TEMPORARY ON DATABASE {server.database} TO {server.role}`"
        )
        meaning = "our role cannot create partitions or temporary tables: events are not stored"
        yield fail("rights", "not the owner of participation_events, or without CREATE or TEMPORARY", meaning, cure)
    elif not tables.lacking:
        yield ok("rights", f"{server.role} may do everything that workers do")


def _reset(server: Server, name: str, value: str) -> str:
    """Return how to change a setting where it was set. Open sessions keep the old value until they restart."""
    where = {
        "database": f"ALTER DATABASE {server.database}",
        "user": f"ALTER ROLE {server.role}",
        "database user": f"ALTER ROLE {server.role} IN DATABASE {server.database}",
    }
    source = server.sources.get(name)
    if source in where:
        return f"`{where[source]} SET {name} = {value}`, then restart the workers"
    if source in ("client", "environment variable"):
        return f"remove {name} from DATABASE_URL and PGOPTIONS, then restart the workers"
    return _system(name, value)


def _system(name: str, value: object) -> str:
    return f"`ALTER SYSTEM SET {name} = {value}`, then `SELECT pg_reload_conf()`"
