"""What `doctor` asks for is enough: a role and a Redis user with exactly that run every task and every command."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Connection, Engine, make_url, text

from participation import keys
from participation.local.valkey import Valkey
from participation.operations.doctor import redis_privileges
from participation.operations.doctor.redis import MissingPrivilegesError, read
from participation.store.database import connect
from participation.store.schema import partitions, privileges
from tests.commands import run
from tests.rows import event
from tests.worker import at_rest, celery, eventually, running

NAMES = sorted(dict.fromkeys(command[0] for command in redis_privileges.commands(0)))
OPTIONAL = {"INFO", "CONFIG GET"}

# Not in this process, which keeps its connections for the tests that follow.
BOT = f"""
from participation import track_events
track_events({[event(object_id="1"), event(object_id="1", event_type="REACTION_ADDED", member_id="bob")]})
"""

PRESENCE = ({"community_id": "c", "platform": "irc", "is_present": False, "changed_at": "2026-03-11T00:00:00Z"},)


def set_user(redis: Redis, *rules: str) -> None:
    redis.execute_command("ACL", "SETUSER", "bot", *rules)  # type: ignore[no-untyped-call, unused-ignore]


@pytest.fixture
def user(valkey: Valkey, redis: Redis) -> Iterator[str]:
    """URL of a Redis user that may do what `doctor` asks for, and nothing more."""
    rules = redis_privileges.rules(0)
    set_user(redis, "on", ">s3cret", *rules.split())
    yield f"redis://bot:s3cret@127.0.0.1:{valkey.port}/0"
    redis.acl_deluser("bot")


@pytest.fixture
def role(administrator: Engine, database: str) -> Iterator[str]:
    """URL of the database for a role that has what `doctor` asks for, and nothing more."""
    owner = make_url(database).username
    with connect(database).begin() as connection:
        connection.execute(text("CREATE ROLE app LOGIN PASSWORD 's3cret' NOINHERIT"))
        for table, needed in privileges.NEEDED.items():
            connection.execute(text(f"GRANT {', '.join(needed.split())} ON {table} TO app"))
        connection.execute(text(f"ALTER TABLE {privileges.EVENTS} OWNER TO app"))
        for partition in partitions.names(connection):
            connection.execute(text(f"GRANT SELECT, UPDATE, DELETE ON {partition} TO app"))
        connection.execute(text("GRANT CREATE ON SCHEMA public TO app"))
    yield make_url(database).set(username="app", password="s3cret").render_as_string(hide_password=False)
    with connect(database).begin() as connection:
        connection.execute(text(f"REASSIGN OWNED BY app TO {owner}"))
        connection.execute(text("DROP OWNED BY app"))
        connection.execute(text("DROP ROLE app"))


@pytest.fixture
def restricted(monkeypatch: pytest.MonkeyPatch, user: str, role: str) -> None:
    monkeypatch.setenv("REDIS_URL", user)
    monkeypatch.setenv("DATABASE_URL", role)


@pytest.mark.usefixtures("restricted")
def test_privileges__are_enough_for_everything(redis: Redis, database: str, tmp_path: Path) -> None:
    """The route, the nightly work, members' rights, dead letters, and Celery's own commands."""
    file = tmp_path / "events.ndjson"
    old = event(occurred_at="2020-01-05T12:00:00Z", object_id="old")
    file.write_text(json.dumps(old) + "\n" + json.dumps(event(object_id="2", member_id="bob")) + "\n")
    engine = connect(database)
    with running(tmp_path / "worker.log", "-n", "worker@test"):
        subprocess.run([sys.executable, "-c", BOT], check=True)
        redis.lpush(keys.EVENTS, b"no message")
        run("import", "events", file)
        eventually(lambda: at_rest(redis, engine, 5))
        command = [*celery(), "inspect", "ping", "--timeout=30", "--destination=worker@test"]
        assert b"pong" in subprocess.run(command, check=True, capture_output=True).stdout
        for name in (keys.MAINTAIN, keys.COMPUTE_DUE_DAYS, keys.NOTE_PRESENCE):
            arguments = json.dumps(PRESENCE if name == keys.NOTE_PRESENCE else [])
            subprocess.run([*celery(), "call", name, f"--args={arguments}"], check=True, capture_output=True)
        wanted = {keys.MAINTAIN, keys.COMPUTE_DUE_DAYS, keys.COMPUTE_HIGHLIGHTS, keys.NOTE_PRESENCE}
        eventually(lambda: wanted <= succeeded(tmp_path / "worker.log"))
        run("dead-letters", "list")
        run("dead-letters", "replay", "--all")
        assert b"The full promise holds" in run("doctor").stdout
    run("dead-letters", "purge", "--older-than", "2100-01-01")
    run("communities", "set", "c", "--timezone", "Europe/Berlin", "--name", "C")
    run("communities", "list")
    run("highlights", "compute")
    run("highlights", "show", "--community", "c")
    run("members", "link", "ada", "irc:ada", "irc:bob")
    run("members", "unlink", "irc:bob")
    run("members", "export", "ada")
    run("members", "opt-out", "irc:bob")
    run("members", "opt-in", "irc:bob")
    run("members", "forget", "ada", "--yes")
    run("status")
    engine.dispose()


def succeeded(log: Path) -> set[str]:
    """Return the names of the tasks that have ended well; none may have failed."""
    told = log.read_text()
    assert "Traceback" not in told, told
    return set(re.findall(r"Task ([\w.]+)\[[^]]+\] succeeded", told))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPTIONAL])
def test_doctor__names_each_command_that_redis_denies(redis: Redis, user: str, name: str) -> None:
    """One command less, and `doctor` says which, and changes nothing."""
    set_user(redis, f"-{name.lower().replace(' ', '|')}")
    with pytest.raises(MissingPrivilegesError) as caught:
        read(user)
    assert {missing.split(" ")[0] for missing in caught.value.missing} == {name.split(" ", maxsplit=1)[0]}
    assert redis.dbsize() == 0


def test_doctor__names_the_channels_that_redis_denies(redis: Redis, user: str) -> None:
    """Without its channels, Flower and remote control would wait without end."""
    set_user(redis, "resetchannels")
    with pytest.raises(MissingPrivilegesError, match=r"PSUBSCRIBE /0\.celeryev/"):
        read(user)


@pytest.mark.parametrize(
    ("table", "privilege"), [(table, each) for table, needed in privileges.NEEDED.items() for each in needed.split()]
)
def test_doctor__names_each_privilege_that_postgresql_denies(engine: Engine, table: str, privilege: str) -> None:
    """One privilege less, and `doctor` says which."""
    with connect_as_role(engine) as connection:
        connection.execute(text("RESET ROLE"))
        connection.execute(text(f"REVOKE {privilege} ON {table} FROM lacking"))
        connection.execute(text("SET LOCAL ROLE lacking"))
        assert privileges.missing_privileges(connection) == (f"{privilege} on {table}",)


@contextmanager
def connect_as_role(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection, connection.begin() as whole:
        connection.execute(text("CREATE ROLE lacking"))
        connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO lacking"))
        connection.execute(text("SET LOCAL ROLE lacking"))
        yield connection
        whole.rollback()
