"""Redis 7 with TLS of its own, and with a user that may not change the server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from participation import Unavailable, redis_client, track_event
from participation.publish.sender import Sender
from participation.store.database import connect
from participation.store.schema.migrate import migrate
from tests.commands import run
from tests.rows import event
from tests.standins.tls_proxy import AUTHORITY, FILES
from tests.system.conftest import Owned
from tests.system.servers import DebianRedis
from tests.worker import SECONDS, at_rest, eventually, running

PASSWORD = "p@ss/w:rd"
ENCODED = "p%40ss%2Fw%3Ard"

CONFIGURATION = """
port 0
tls-cert-file {folder}/server.pem
tls-key-file {folder}/server.key
tls-auth-clients no
appendonly yes
appendfsync always
save ""
maxmemory 1gb
maxmemory-policy noeviction
user default off
user participation on >{password} ~* &* +@all -@dangerous +info +config|get
"""


@pytest.fixture(scope="module")
def secure_redis(folder: Path) -> Iterator[DebianRedis]:
    where = folder / "redis_tls"
    server = DebianRedis(where, CONFIGURATION.format(folder=where, password=PASSWORD), "--tls-port")
    for name in ("server.pem", "server.key"):
        server.write(name, (FILES / name).read_text())
    with server:
        yield server


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let this process, in which `delay` may have connected before, and those that it starts, use this Redis."""
    monkeypatch.setenv("REDIS_URL", url)
    sender = Sender(redis_client.connect_within(url, SECONDS))
    monkeypatch.setattr(track_event, "sender", sender, raising=False)


def test_route__works_with_tls_and_a_user(
    secure_redis: DebianRedis, owned: Owned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`delay`, a worker, the commands and `doctor` log in as the user; nobody gets in without the authority."""
    migrate(owned.url)
    monkeypatch.setenv("DATABASE_URL", owned.url)
    engine = connect(owned.url)
    where = f"localhost:{secure_redis.port}/0"
    url = f"rediss://participation:{ENCODED}@{where}?ssl_ca_certs={AUTHORITY}"
    use(monkeypatch, url)
    track_event.delay(event())
    assert b"1 events" in run("status").stdout
    with running(tmp_path / "worker.log"), Redis.from_url(url) as client:
        eventually(lambda: at_rest(client, engine, 1))
        # 1, because doctor warns of PostgreSQL 15.
        report = json.loads(run("doctor", "--json", code=1).stdout)
    complaints = {check["name"]: check for check in report["checks"] if check["level"] != "ok"}
    assert complaints.keys() == {"server", "data_checksums"}, complaints
    engine.dispose()
    use(monkeypatch, f"rediss://participation:{ENCODED}@{where}")
    with pytest.raises(Unavailable, match="certificate verify failed"):
        track_event.delay(event())


@pytest.mark.parametrize("login", ["", "participation:wrong@", f"nobody:{ENCODED}@", f":{ENCODED}@"])
def test_login__is_required(secure_redis: DebianRedis, login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, f"rediss://{login}localhost:{secure_redis.port}/0?ssl_ca_certs={AUTHORITY}")
    with pytest.raises(Unavailable, match=r"(?i)password|auth"):
        track_event.delay(event())
