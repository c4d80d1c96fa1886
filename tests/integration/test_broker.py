"""`REDIS_URL` alone decides where every part finds Redis, and means the same to all of them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from sqlalchemy import Engine

from participation import Unavailable, keys, redis_client, track_event
from participation.app import app
from participation.local.valkey import Valkey
from participation.publish.sender import Sender
from participation.store.database import connect
from tests.commands import run
from tests.rows import event
from tests.standins.tls_proxy import AUTHORITY, tls_proxy
from tests.worker import SECONDS, at_rest, celery, eventually, running

ELSEWHERE = "redis://:s3cret@127.0.0.1:1/0"
"""A neighbour's broker, which never answers."""

OTHER_BROKERS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "BROKER_URL")

BOT = """
from celery import Celery, current_app, shared_task
bot = Celery("bot")
import participation
participation.track_event
@shared_task
def greet(): ...
assert current_app.main == "bot" and greet.app.main == "bot", (current_app, greet.app)
"""


@pytest.fixture
def engine(environment: None, database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let this process, in which `delay` may have connected before, use another Redis."""
    monkeypatch.setenv("REDIS_URL", url)
    sender = Sender(redis_client.connect_within(url, SECONDS))
    monkeypatch.setattr(track_event, "sender", sender, raising=False)


def ping(*options: str) -> bytes:
    """Return what `celery inspect ping` prints."""
    command = [*celery(), *options, "inspect", "ping", "--timeout=30", "--destination=worker@test"]
    return subprocess.run(command, capture_output=True, timeout=SECONDS, check=True).stdout


def test_brokers_of_others__change_nothing(
    redis: Redis, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour's settings in the same environment, and `--broker`, do not move an event or a worker elsewhere."""
    for name in OTHER_BROKERS:
        monkeypatch.setenv(name, ELSEWHERE)
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "cache+memcached://127.0.0.1:1")
    monkeypatch.setenv("CELERY_LOADER", "nowhere.Loader")
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "nowhere")
    program = f"from participation import track_event; track_event.delay({event()})"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=SECONDS)
    assert redis.llen(keys.EVENTS) == 1
    with running(tmp_path / "worker.log", "-n", "worker@test", "--", f"broker.url={ELSEWHERE}"):
        eventually(lambda: at_rest(redis, engine, 1))
        assert b"pong" in ping(f"--broker={ELSEWHERE}")
    assert (
        b"broker_ignored variables=CELERY_BROKER_URL,CELERY_BROKER_READ_URL" in (tmp_path / "worker.log").read_bytes()
    )


@pytest.mark.parametrize("end", ["/1", "/1/", "?db=1", "/1?health_check_interval=1"])
@pytest.mark.usefixtures("redis")
def test_redis_url__means_the_same_to_every_part(
    valkey: Valkey, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """`delay`, the claim, Celery's half of the worker, and the commands use the same database of Redis."""
    base = valkey.url.removesuffix("/0")
    use(monkeypatch, base + end)
    with Redis.from_url(f"{base}/1") as client:
        track_event.delay(event())
        assert client.llen(keys.EVENTS) == 1
        assert b"1 events" in run("status").stdout
        with running(tmp_path / "worker.log", "-n", "worker@test"):
            eventually(lambda: at_rest(client, engine, 1))
            assert b"pong" in ping()


def test_tls__every_part_verifies_the_certificate(
    valkey: Valkey, engine: Engine, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the authority in the URL, all parts connect; without it, or under another name, none does."""
    with tls_proxy(valkey.port) as port:
        secret = urlsplit(valkey.url).password
        use(monkeypatch, f"rediss://:{secret}@localhost:{port}/0?ssl_ca_certs={AUTHORITY}")
        track_event.delay(event())
        assert b"1 events" in run("status").stdout
        with running(tmp_path / "worker.log", "-n", "worker@test"):
            eventually(lambda: at_rest(redis, engine, 1))
            assert b"pong" in ping()
        for place in (f"127.0.0.1:{port}/0?ssl_ca_certs={AUTHORITY}", f"localhost:{port}/0"):
            use(monkeypatch, f"rediss://:{secret}@{place}")
            with pytest.raises(Unavailable, match="certificate verify failed"):
                track_event.delay(event())
            with pytest.raises(Exception, match="certificate verify failed"), app.connection_for_read() as connection:
                connection.connect()
        use(monkeypatch, f"rediss://:{secret}@127.0.0.1:{port}/0?ssl_cert_reqs=none")
        track_event.delay(event(object_id="2"))
        with app.connection_for_read() as connection:
            connection.connect()


def test_import__leaves_the_current_app_alone() -> None:
    """A bot's own shared tasks stay with the bot's own app, wherever it imports us."""
    subprocess.run([sys.executable, "-c", BOT], check=True, timeout=SECONDS)
