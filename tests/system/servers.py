"""Debian's servers, each as a process of its own on a free port, with its files in one folder."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from participation.local.server import Server
from participation.local.system_user import SystemUser, user_for
from tests.system.programs import program
from tests.worker import eventually

ADMINISTRATOR: Final = "postgres"
"""The superuser of PostgreSQL, as on Debian."""

RELOADED: Final = b"re-reading config"


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make a folder that the servers' user can reach; pytest's are private to the user who runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="participation-system-", dir="/tmp"))
    user_for(folder).give(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class DebianServer(Server):
    """A server that runs as another user for root, and whose log says when it is ready."""

    death_signal = signal.SIGQUIT
    ready: ClassVar[bytes]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.user: SystemUser = user_for(folder / "nothing")
        self.folder.mkdir()
        self.user.give(self.folder)

    def write(self, name: str, text: str) -> Path:
        """Write a file that only the server's user can read, as a file with passwords should be."""
        file = self.folder / name
        file.write_text(text)
        file.chmod(0o600)
        self.user.give(file)
        return file

    def _user(self) -> dict[str, Any]:
        return self.user.popen()

    def _is_ready(self) -> bool:
        return self.ready in self.log.read_bytes()


class DebianPostgres(DebianServer):
    """PostgreSQL 15. The superuser needs no password on the socket in the folder; all others need theirs."""

    name = "PostgreSQL"
    ready = b"database system is ready to accept connections"

    def url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def psql(self, statements: str, database: str = ADMINISTRATOR, **environment: str) -> str:
        """Run statements as the superuser, as one does who follows the documentation; return what is printed."""
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        where = [f"--host={self.folder}", f"--port={self.port}", f"--username={ADMINISTRATOR}", f"--dbname={database}"]
        ended = subprocess.run(
            [program("psql"), *options, *where],
            input=statements,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def _launch(self, lock: int) -> None:
        how = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"]
        process = self._spawn([program("initdb"), "--pgdata", self._data, f"--username={ADMINISTRATOR}", *how])
        assert process.wait() == 0, self.log.read_text()
        super()._launch(lock)

    def _command(self, port: int) -> list[str | Path]:
        socket = f"--unix_socket_directories={self.folder}"
        return [program("postgres"), "-D", self._data, f"--port={port}", "--listen_addresses=127.0.0.1", socket]

    @property
    def _data(self) -> Path:
        return self.folder / "data"


class PgBouncer(DebianServer):
    """PgBouncer in front of a PostgreSQL. It knows the passwords of the users."""

    name = "PgBouncer"
    ready = b"process up"
    death_signal = signal.SIGINT

    def __init__(self, folder: Path, behind: DebianPostgres, users: Mapping[str, str], **settings: str) -> None:
        super().__init__(folder)
        self._behind = behind
        self._settings = settings
        self.write("users", "".join(f'"{user}" "{password}"\n' for user, password in users.items()))

    def reload(self, **settings: str) -> None:
        """Change settings of the running pooler, for all transactions that begin from now on."""
        self._settings |= settings
        self._write_settings(self.port)
        before = self.log.read_bytes().count(RELOADED)
        os.kill(self.pid, signal.SIGHUP)
        eventually(lambda: self.log.read_bytes().count(RELOADED) > before)

    def _command(self, port: int) -> list[str | Path]:
        return [program("pgbouncer"), self._write_settings(port)]

    def _write_settings(self, port: int) -> Path:
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self.folder / "users"),
            **self._settings,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        behind = f"[databases]\n* = host=127.0.0.1 port={self._behind.port}\n"
        return self.write("pgbouncer.ini", f"{behind}[pgbouncer]\n{lines}")


class DebianRedis(DebianServer):
    """Redis 7, or another server like it, with the configuration that is given, but another port and folder."""

    name = "Redis"
    ready = b"Ready to accept connections"
    death_signal = signal.SIGTERM

    def __init__(
        self, folder: Path, configuration: str, port_option: str = "--port", server: Path | None = None
    ) -> None:
        super().__init__(folder)
        self._server = server or program("redis-server")
        self._configuration = self.write("redis.conf", configuration)
        self._port_option = port_option

    def _command(self, port: int) -> list[str | Path]:
        where = ["--dir", str(self.folder), self._port_option, str(port), "--bind", "127.0.0.1"]
        return [self._server, self._configuration, *where]
