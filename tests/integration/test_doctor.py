"""The doctor on real servers whose settings are wrong in one way each, and the command as an operator runs it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError
from sqlalchemy import Engine, make_url, text

from participation import keys, message
from participation.local.valkey import Valkey
from participation.operations.doctor import postgresql, redis
from participation.operations.doctor.examine import examine
from participation.operations.doctor.finding import Level
from participation.settings import Settings
from participation.store.database import connect
from participation.store.schema.migrate import migrate
from tests.rows import event, put
from tests.worker import SECONDS, eventually, running

PARTICIPATION = [sys.executable, "-c", "from participation.cli import main; main()"]

TABLE = "CAST(CAST(inhrelid AS regclass) AS text)"
OURS = "inhparent = CAST('participation_events' AS regclass)"

Seen = dict[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey that these tests may spoil."""
    with Valkey(tmp_path_factory.mktemp("spoilt")) as server:
        yield server


@pytest.fixture
def client(server: Valkey) -> Iterator[Redis]:
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


@contextmanager
def configured(client: Redis, settings: Mapping[str, str]) -> Iterator[None]:
    before = client.config_get(*settings)
    try:
        for name, value in settings.items():
            client.config_set(name, value)
        yield
    finally:
        for name in settings:
            client.config_set(name, before[name] or "")


def of_redis(url: str) -> Seen:
    found = redis.judge(redis.read(url))
    return {each.name: "weak" if each.weakens else str(each.level) for each in found if each.level is not Level.OK}


def of_postgresql(url: str) -> Seen:
    facts = postgresql.read(url, 3)
    found = [*postgresql.judge(facts.server), *postgresql.judge_schema(facts)]
    return {each.name: "weak" if each.weakens else str(each.level) for each in found if each.level is not Level.OK}


def run(*arguments: str, code: int) -> subprocess.CompletedProcess[str]:
    command = [*PARTICIPATION, "doctor", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == code, ended
    assert ended.stderr == ""
    return ended


def run_with_worker(*arguments: str) -> str:
    """Run it until it finds nothing wrong, for the worker has a second to answer it; return what it says then."""
    told = []

    def is_content() -> bool:
        command = [*PARTICIPATION, "doctor", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        told.append(ended.stdout)
        return ended.returncode == 0

    eventually(is_content)
    return told[-1]


def execute(engine: Engine, *statements: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_redis__our_own_server_keeps_the_promise_and_is_not_changed(server: Valkey, client: Redis) -> None:
    """A server as `participation up` starts it: only that it has no limit is to be told; nothing is written to it."""
    assert of_redis(server.url) == {"memory": "note"}
    assert client.dbsize() == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"appendonly": "no"}, {"append-only file": "FAIL"}),
        ({"appendfsync": "everysec"}, {"appendfsync": "weak"}),
        ({"appendfsync": "no"}, {"appendfsync": "weak"}),
        ({"no-appendfsync-on-rewrite": "yes"}, {"no-appendfsync-on-rewrite": "weak"}),
        ({"maxmemory-policy": "allkeys-lru"}, {"maxmemory-policy": "warn"}),
        ({"min-replicas-to-write": "1"}, {"writes": "FAIL"}),
    ],
)
def test_redis__settings(server: Valkey, client: Redis, settings: dict[str, str], said: Seen) -> None:
    """Each setting that takes something from the promise is found on a server that really has it."""
    with configured(client, settings):
        assert of_redis(server.url) == {"memory": "note", **said}


def test_redis__evicting_nearly_full_and_full(server: Valkey, client: Redis) -> None:
    """With a limit, a policy that deletes is a failure; so is a server that has no room, and nearly so a warning."""

    def used() -> int:
        return int(client.info("memory")["used_memory"])

    def is_nearly_full() -> bool:
        with configured(client, {"maxmemory": str(int(used() * 1.07))}):
            return of_redis(server.url) == {"memory": "warn"}

    with configured(client, {"maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"}):
        assert of_redis(server.url) == {"maxmemory-policy": "FAIL"}
    eventually(is_nearly_full)  # connections that were just closed are a part of what is used, and soon none
    with configured(client, {"maxmemory": str(used() // 2)}):
        assert of_redis(server.url) == {"memory": "FAIL"}


def test_redis__volatile_policies_delete_no_event(server: Valkey, client: Redis) -> None:
    """A server that may delete what expires refuses events when it is full, and keeps those that it has."""
    used = int(client.info("memory")["used_memory"])
    accepted = 0
    with configured(client, {"maxmemory": str(used + 2_000_000), "maxmemory-policy": "volatile-lru"}):
        with suppress(OutOfMemoryError):
            while True:
                client.lpush(keys.EVENTS, b"x" * 10_000)
                accepted += 1
        client.config_set("maxmemory", used + 1_000_000)  # or a connection that ends would leave room again
        assert of_redis(server.url) == {"maxmemory-policy": "warn", "memory": "FAIL"}
        assert client.llen(keys.EVENTS) == accepted > 0


def test_redis__replica(server: Valkey, client: Redis, tmp_path: Path) -> None:
    """A replica takes no events; a primary that has one may lose some in a fail-over."""
    with Valkey(tmp_path) as primary:
        client.config_set("masterauth", str(urlsplit(primary.url).password))
        client.replicaof("127.0.0.1", primary.port)
        try:
            eventually(lambda: of_redis(primary.url) == {"memory": "note", "role": "note"})
            assert of_redis(server.url) == {"memory": "note", "role": "FAIL", "writes": "FAIL"}
        finally:
            client.replicaof("NO", "ONE")  # type: ignore[no-untyped-call, unused-ignore]


@pytest.mark.parametrize(
    ("denied", "said"),
    [
        ("-config", {"appendfsync": "weak", "memory": "note"}),
        ("-info", {"server": "weak"}),
        ("-memory", {"memory": "note"}),
    ],
)
def test_redis__forbidden_commands(server: Valkey, client: Redis, denied: str, said: Seen) -> None:
    """What a managed service keeps to itself cannot be read. A worker does without it."""
    client.acl_setuser(
        "guest", enabled=True, passwords=["+s3cret"], commands=["+@all", denied], keys=["*"], channels=["*"]
    )
    assert of_redis(f"redis://guest:s3cret@127.0.0.1:{server.port}/0") == said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("synchronous_commit = off", {"synchronous_commit": "FAIL"}),
        ("synchronous_commit = local", {}),
        ("default_transaction_read_only = on", {"default_transaction_read_only": "FAIL"}),
    ],
)
def test_postgresql__settings_of_the_database(database: str, engine: Engine, setting: str, said: Seen) -> None:
    """What our own sessions get counts, wherever it was set; and the cure that is told puts it right."""
    name = make_url(database).database
    execute(engine, f"ALTER DATABASE {name} SET {setting}")
    assert of_postgresql(database) == said
    for finding in postgresql.judge(postgresql.read(database, 3).server):
        if finding.level is not Level.OK:
            execute(engine, "SET default_transaction_read_only = off", finding.cure.split("`")[1])
    assert of_postgresql(database) == {}


@pytest.mark.parametrize(("name", "level"), [("fsync", "FAIL"), ("full_page_writes", "weak")])
def test_postgresql__settings_of_the_server(
    database: str, administrator: Engine, engine: Engine, name: str, level: str
) -> None:
    """What makes a commit outlive a crash of the machine is read from the running server."""
    try:
        execute(administrator, f"ALTER SYSTEM SET {name} = off", "SELECT pg_reload_conf()")
        eventually(lambda: of_postgresql(database) == {name: level})
    finally:
        execute(administrator, f"ALTER SYSTEM RESET {name}", "SELECT pg_reload_conf()")
    eventually(lambda: of_postgresql(database) == {})


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE dead_letters SET UNLOGGED", {"tables": "FAIL"}),
        ("ALTER TABLE {partition} SET UNLOGGED", {"tables": "FAIL"}),
        ("ALTER TABLE participation_events DROP CONSTRAINT participation_events_pkey", {"primary key": "FAIL"}),
        ("ALTER TABLE ingest_batches DROP CONSTRAINT ingest_batches_pkey", {"primary key": "FAIL"}),
        ("DROP TABLE due_days CASCADE", {"migrations": "FAIL"}),
        ("DROP TABLE member_accounts", {"tables": "FAIL"}),
        ("DROP TABLE {partition}", {"partitions": "warn"}),
        ("UPDATE alembic_version SET version_num = '9999'", {"migrations": "warn"}),
        ("DELETE FROM alembic_version", {"migrations": "FAIL"}),
    ],
)
def test_postgresql__tables(database: str, engine: Engine, statement: str, said: Seen) -> None:
    """Tables that a crash empties, that lost their key, that are gone, not made ahead, too old or too new."""
    with engine.connect() as connection:
        name = connection.scalar(text(f"SELECT max({TABLE}) FROM pg_inherits WHERE {OURS}"))
    assert of_postgresql(database) == {}
    execute(engine, statement.format(partition=name))
    assert of_postgresql(database) == said


def test_postgresql__partition_of_this_month(database: str, engine: Engine) -> None:
    """That not even this month has a partition is told apart from one that is missing later."""
    execute(engine, f"DROP TABLE participation_events_{time.strftime('%Y_%m', time.gmtime())}")
    found = {each.name: each for each in postgresql.judge_schema(postgresql.read(database, 3))}
    assert "not even this month" in found["partitions"].meaning


def test_postgresql__not_migrated(empty_database: str) -> None:
    """A database without tables says what to run."""
    assert of_postgresql(empty_database) == {"migrations": "FAIL"}


def test_postgresql__another_encoding(administrator: Engine, database: str) -> None:
    """A database that cannot hold every text is a failure."""
    options = "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    execute(administrator, f"CREATE DATABASE latin {options}")
    url = make_url(database).set(database="latin").render_as_string(hide_password=False)
    try:
        migrate(url)
        assert of_postgresql(url) == {"encoding": "FAIL"}
    finally:
        execute(administrator, "DROP DATABASE latin WITH (FORCE)")


def test_postgresql__rights(administrator: Engine, engine: Engine, database: str) -> None:
    """A role without rights is told which; with all but the ownership, that it cannot make partitions."""
    execute(administrator, "CREATE ROLE guest LOGIN PASSWORD 's3cret'")
    url = make_url(database).set(username="guest", password="s3cret").render_as_string(hide_password=False)
    try:
        assert of_postgresql(url) == {"rights": "FAIL", "migrations": "FAIL"}
        found = [each.found for each in postgresql.judge_schema(postgresql.read(url, 3)) if each.name == "rights"]
        assert "INSERT on participation_events" in found[0]
        execute(engine, "GRANT ALL ON ALL TABLES IN SCHEMA public TO guest")
        assert of_postgresql(url) == {"rights": "FAIL"}
        execute(engine, "ALTER TABLE participation_events OWNER TO guest", "GRANT CREATE ON SCHEMA public TO guest")
        assert of_postgresql(url) == {}
    finally:
        execute(engine, f"REASSIGN OWNED BY guest TO {make_url(database).username}", "DROP OWNED BY guest")
        execute(administrator, "DROP ROLE guest")


def test_doctor__full_promise_with_a_worker(environment: None, redis: Redis, tmp_path: Path) -> None:
    """Good servers and a worker: code 0, for people and for programs, and no key is left in Redis by it."""
    with running(tmp_path / "worker.log"):
        told = run_with_worker()
        read = json.loads(run_with_worker("--json"))
    assert told.splitlines()[-1] == "The full promise holds."
    assert (read["promise"], read["verdict"], read["exit_code"]) == ("full", "The full promise holds.", 0)
    assert {"group", "name", "level", "found", "meaning", "cure", "weakens"} == set(read["checks"][0])
    assert {each["group"] for each in read["checks"]} == {"Redis", "PostgreSQL", "Tables", "Clocks", "Work"}
    assert not redis.exists(keys.PROBE)


def test_doctor__a_weaker_promise_without_a_worker(environment: None, redis: Redis) -> None:
    """A warning is code 1; the last line says what is lost, and when."""
    with configured(redis, {"appendfsync": "everysec"}):
        told = " ".join(run(code=1).stdout.split())
    assert "warn workers none answers" in told
    assert told.endswith(
        "A weaker promise holds: up to about a second of accepted events can be lost if the machine of Redis goes down."
    )


def test_doctor__workers_that_consume_the_wrong_queues(
    environment: None, database: str, valkey: Valkey, tmp_path: Path
) -> None:
    """A worker that pops events by themselves, and none that computes days, are found by asking the workers."""

    def found() -> dict[str, bool]:
        report = examine(Settings(DATABASE_URL=database, REDIS_URL=valkey.url))
        return {each.name: each.weakens for each in report if each.level is Level.WARN}

    with running(tmp_path / "worker.log", "--queues", f"{keys.FLUSH},{keys.EVENTS}"):
        eventually(lambda: found() == {"nightly": False, "events queue": True})


def test_doctor__work_that_waits(environment: None, redis: Redis, engine: Engine) -> None:
    """Events, batches and days that nobody takes up are told with their age, dead letters with their number."""
    put(engine, [event(), event(platform="NO")])
    execute(engine, "UPDATE due_days SET marked_at = now() - interval '1 hour'")
    old = json.loads(message.encode(event()))
    old["headers"]["sent_at"] = time.time() - 1_000
    redis.lpush(keys.EVENTS, json.dumps(old))
    redis.zadd(keys.BATCHES, {"b": time.time() - 1_000})
    checks = json.loads(run("--json", code=1).stdout)["checks"]
    levels = {each["name"]: each["level"] for each in checks if each["group"] == "Work"}
    assert levels == {
        "workers": "warn",
        "events": "warn",
        "batches": "warn",
        "dead letters": "note",
        "days due": "warn",
    }


def test_doctor__examines_one_server_without_the_other(
    environment: None, database: str, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is not there is a failure of its own, the other is examined; no password is shown."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = taken.getsockname()[1]
        monkeypatch.setenv("REDIS_URL", f"redis://:s3cret@127.0.0.1:{nobody}/0")
        without_redis = run(code=2).stdout
        monkeypatch.setenv("REDIS_URL", valkey.url)
        monkeypatch.setenv("DATABASE_URL", f"postgresql://u:s3cret@127.0.0.1:{nobody}/x")
        without_postgresql = run(code=2).stdout
    assert "FAIL  server" in without_redis
    assert "synchronous_commit  on" in without_redis
    assert "FAIL  server" in without_postgresql
    assert "appendfsync         always" in without_postgresql
    assert "s3cret" not in without_redis + without_postgresql


def test_doctor__wrong_passwords_are_not_shown(
    environment: None, database: str, client: Redis, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that refuse us are named with what to correct, and neither password is in the output."""
    monkeypatch.setenv("REDIS_URL", f"redis://:s3cret@127.0.0.1:{server.port}/0")
    wrong = make_url(database).set(password="s3cret").render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", wrong)
    with configured(client, {"requirepass": "another"}):
        read = run("--json", code=2).stdout
    cures = [each["cure"] for each in json.loads(read)["checks"]]
    assert cures == ["correct user, password and database number in REDIS_URL", "correct DATABASE_URL"]
    assert "s3cret" not in read
    assert "another" not in read


def test_doctor__servers_that_are_not_named() -> None:
    """A setting that is missing is a failure with its cure, like a server that is away."""
    report = examine(Settings(DATABASE_URL=None, REDIS_URL=None))
    assert [each.found for each in report] == ["REDIS_URL is not set", "DATABASE_URL is not set"]
    assert report.exit_code == 2


def test_doctor__silent_servers_do_not_hold_it_up() -> None:
    """Servers that accept a connection and never say a word are given up."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        report = examine(
            Settings(DATABASE_URL=f"postgresql://u:p@127.0.0.1:{port}/x", REDIS_URL=f"redis://127.0.0.1:{port}/0")
        )
    assert [(each.name, each.level) for each in report] == [("server", Level.FAIL)] * 2
