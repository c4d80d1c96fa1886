"""The module of the examples in JavaScript that sends: its messages, its rights on Redis, its settings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from participation import keys
from participation.local.valkey import Valkey
from tests.rows import event
from tests.standins.tls_proxy import AUTHORITY, tls_proxy
from tests.system.node_bots import EXAMPLE, names, queued, run_script

LOCK: dict[str, Any] = json.loads((EXAMPLE / "package-lock.json").read_text())


@pytest.fixture
def limited(valkey: Valkey, redis: Redis) -> Iterator[str]:
    """URL of a user who may do nothing but append to the list of the events."""
    redis.acl_setuser("limited", enabled=True, passwords=["+p@ss"], keys=[keys.EVENTS], commands=["+lpush"])
    yield f"redis://limited:p%40ss@127.0.0.1:{valkey.port}/0"
    redis.acl_deluser("limited")


def send(folder: Path, spool: Path, script: str, url: str, **more: str) -> str:
    """Run a script that has `participation`, and close it."""
    begin = "import { Participation } from './participation.js'; const participation = new Participation();"
    where = {"REDIS_URL": url, "PARTICIPATION_SPOOL_DIR": str(spool), **more}
    return run_script(folder, f"{begin} {script}; await participation.close(1);", **where)


def test_message__stock_celery_reads_it(node_program: Path, redis: Redis, limited: str, tmp_path: Path) -> None:
    """A user with one right is enough, and Celery's own transport decodes what was sent."""
    given = event(member_id="Ægir 🌊")
    send(node_program, tmp_path, f"participation.track({json.dumps(given)})", limited)
    with Celery(broker=redis_url(limited, redis)).connection_for_read() as connection:
        received = connection.SimpleQueue(keys.EVENTS).get(block=False)
        assert received.headers["task"] == keys.TRACK_EVENT
        assert received.headers["id"] == received.properties["correlation_id"]
        assert received.payload == [[given], {}, {}]
        received.ack()


def test_message__through_tls(node_program: Path, valkey: Valkey, redis: Redis, tmp_path: Path) -> None:
    """`rediss://` works, and a server that nobody vouches for gets nothing: the event stays in the spool."""
    track = f"participation.track({json.dumps(event())})"
    with tls_proxy(valkey.port) as port:
        url = valkey.url.replace("redis://", "rediss://").replace(f"127.0.0.1:{valkey.port}", f"localhost:{port}")
        assert "spooled=1" in send(node_program, tmp_path, track, url)
        assert "spooled=0" in send(node_program, tmp_path, track, url, NODE_EXTRA_CA_CERTS=str(AUTHORITY))
    assert queued(redis) == [event(), event()]


def redis_url(limited: str, redis: Redis) -> str:
    """Return the URL of the same server for a user who may read."""
    password = redis.connection_pool.connection_kwargs["password"]
    return f"redis://:{password}@{limited.rpartition('@')[2]}"


def test_names__are_sent_when_they_are_new_or_changed(
    node_program: Path, valkey: Valkey, redis: Redis, tmp_path: Path
) -> None:
    """In notices of at most 100. A field that is absent changes nothing; null does."""
    script = """
        const common = { kind: "account", platform: "irc", community_id: "c", name: "A" };
        const name = (id, more) => ({ ...common, id: `${id}`, seen_at: "2026-03-10T12:00:00Z", ...more });
        const many = Array.from({ length: 250 }, (_, id) => name(id, { username: "a" }));
        participation.noteNames(many);
        participation.noteNames(many.map((each) => ({ ...each, seen_at: "2026-03-10T13:00:00Z" })));
        participation.noteNames([name(1)]);
        participation.noteNames([name(2, { username: null })]);
    """
    send(node_program, tmp_path, script, valkey.url)
    assert [len(notice) for notice in queued(redis, keys.NOTE_NAMES)] == [100, 100, 50, 1]
    assert names(redis)["account", "2"]["username"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://:secret@127.0.0.1"),
        ("REDIS_URL", ":secret"),
        ("PARTICIPATION_SPOOL_MEGABYTES", "many"),
        ("PARTICIPATION_PUBLISH_TIMEOUT_SECONDS", "0"),
    ],
)
def test_settings__a_wrong_one_is_named(name: str, value: str, node_program: Path, tmp_path: Path) -> None:
    """The bot does not start, and the error names the setting, but never a password."""
    script = "const { Participation } = await import('./participation.js'); new Participation()"
    with pytest.raises(AssertionError, match=f"Error: {name}: must be") as error:
        run_script(node_program, script, PARTICIPATION_SPOOL_DIR=str(tmp_path), **{name: value})
    assert "secret" not in str(error.value)


def test_lock__has_hashes_and_no_addresses() -> None:
    """Each package has a version and a hash. None has an address, and none runs a script when it is installed."""
    packages = {name: package for name, package in LOCK["packages"].items() if name}
    assert all({"version", "integrity"} <= package.keys() for package in packages.values())
    assert not any({"resolved", "hasInstallScript"} & package.keys() for package in packages.values())
    assert LOCK["packages"][""]["dependencies"].keys() == {"@redis/client", "discord.js", "grammy"}


@pytest.mark.parametrize("file", sorted(EXAMPLE.glob("*.js")), ids=lambda file: file.name)
def test_files__are_short(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert len(lines) < 300
    assert max(map(len, lines)) <= 120
