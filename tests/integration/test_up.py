"""`up` and its supervisor: processes that start together, log together and end together."""

import io
import os
import re
import signal
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil
import psycopg2
import pytest
from redis import Redis

from participation.local import supervisor as room
from participation.local.postgres import Postgres
from participation.local.processes import free_port, wait_until
from participation.local.supervisor import Command, Supervisor
from participation.local.valkey import Valkey
from tests.worker import SECONDS

UP = """
import sys
from pathlib import Path
from participation.local.up import up
sys.exit(up(Path(sys.argv[1]), sys.stdout))
"""
SLEEPS = "print('begun', flush=True); import time; time.sleep(600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def command(name: str, code: str = SLEEPS, sign: str = "begun", seconds: float = 30.0) -> Command:
    stopping = ((signal.SIGTERM, seconds), (signal.SIGQUIT, seconds))
    return Command(name, python(code), sign, stopping)


class TestSupervisor:
    def test_run__until_a_command_ends(self) -> None:
        """The end of one command is told with its exit code and ends the run; what it wrote is in the log."""
        out = io.StringIO()
        with Supervisor(out) as supervisor:
            supervisor.start(command("beat"), os.environ)
            dies = command("worker", "print('ä\\nb', end=''); raise SystemExit(3)", "never")
            supervisor.start(dies, os.environ)
            assert supervisor.run(lambda: None) == 1
            supervisor.stop("beat")
            supervisor.stop("beat")
            supervisor.stop("worker")
        lines = out.getvalue().splitlines()
        assert [line for line in lines if not line.startswith("beat")] == [
            "worker | ä",
            "worker | b",
            "up     | worker ended with exit code 3: stopping everything",
            "up     | stopping beat (SIGTERM)",
        ]

    def test_run__until_a_server_ends(self, tmp_path: Path) -> None:
        """A server that dies ends the run like a command."""
        out = io.StringIO()
        with Valkey(tmp_path) as server, Supervisor(out) as supervisor:
            supervisor.watch(server)
            assert supervisor.run(server.kill) == 1
        assert "Valkey ended with signal SIGKILL" in out.getvalue()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_run__until_a_signal(self, number: signal.Signals) -> None:
        """A signal ends the run well, and afterwards its handler is as before."""
        before = signal.getsignal(number)
        with Supervisor(io.StringIO()) as supervisor:
            supervisor.start(command("beat"), os.environ)
            supervisor.await_ready()
            assert supervisor.run(lambda: os.kill(os.getpid(), number)) == 0
            supervisor.stop("beat")
        assert signal.getsignal(number) == before

    def test_start__interrupted(self) -> None:
        """Before the run a signal is an exception, so that no step of the start has to look for it."""
        with Supervisor(io.StringIO()), pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)

    def test_stop__deaf_command_with_a_child(self) -> None:
        """A command that ignores every request is killed, and what it started with it."""
        code = (
            "import signal, subprocess, sys, time\n"
            "for number in (signal.SIGTERM, signal.SIGQUIT): signal.signal(number, signal.SIG_IGN)\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
            "print('child', child.pid, flush=True); time.sleep(600)"
        )
        out = io.StringIO()
        with Supervisor(out) as supervisor:
            supervisor.start(command("worker", code, "child", seconds=0.05), os.environ)
            supervisor.await_ready()
            child = psutil.Process(int(out.getvalue().split()[-1]))
            supervisor.stop("worker")
        assert psutil.wait_procs([child], timeout=SECONDS)[1] == []
        assert out.getvalue().splitlines()[1:] == [
            "up     | stopping worker (SIGTERM)",
            "up     | stopping worker (SIGQUIT)",
        ]

    def test_stop__second_signal_hurries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a second Ctrl-C nobody is waited for as long as at first."""
        monkeypatch.setattr(room, "HURRY_SECONDS", 0.05)
        code = f"import signal; signal.signal(signal.SIGTERM, lambda *_: print('deaf', flush=True)); {SLEEPS}"
        out = io.StringIO()
        with Supervisor(out) as supervisor:
            supervisor.start(command("worker", code, seconds=600), os.environ)
            supervisor.await_ready()
            supervisor.run(lambda: os.kill(os.getpid(), signal.SIGINT))
            os.kill(os.getpid(), signal.SIGINT)
            supervisor.stop("worker")
        assert "stopping worker (SIGQUIT)" in out.getvalue()

    def test_write__reader_gone(self) -> None:
        """A log that nobody reads any more is a reason to stop, not to fail."""
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "w", buffering=1) as out:
            with Supervisor(out) as supervisor:
                supervisor.start(command("beat"), os.environ)
                assert supervisor.run(lambda: None) == 0
                supervisor.stop("beat")
            with suppress(BrokenPipeError):
                out.close()


class Up:
    """A running `participation up` in a process of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.data_dir = folder / "data"
        self.log = folder / "up.log"
        self.data_dir.mkdir(exist_ok=True)
        for name in ("postgres", "valkey", "flower"):
            # It looks for one a while before it is used, and every run on this machine would choose the usual ones.
            if not (port := self.data_dir / f"{name}.port").exists():
                port.write_text(str(free_port()))
        ours = {"DATABASE_URL", "REDIS_URL", "FLOWER_BASIC_AUTH", "FLOWER_PORT"}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*python(UP), str(self.data_dir)],
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**kept, "HOME": str(folder), **environment},
            )

    def said(self) -> str:
        return self.log.read_text()

    def await_text(self, text: str) -> None:
        assert wait_until(lambda: text in self.said() or self.process.poll() is not None, SECONDS)
        assert text in self.said()

    def family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def ask_flower(self, login: str | None) -> int:
        """Return the status of the answer to a user with this login."""
        (place,) = re.findall(r"  Flower      http://\w+@(\S+)", self.said())
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        try:
            with urlopen(Request(f"http://{place}/tasks", headers=headers), timeout=SECONDS) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    def environment(self) -> dict[str, str]:
        lines = (self.data_dir / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Up]:
    up = Up(folder, **environment)
    try:
        yield up
    finally:
        up.process.kill()
        up.process.wait()


def assert_ended(family: list[psutil.Process]) -> None:
    assert psutil.wait_procs(family, timeout=SECONDS)[1] == []


def test_up__until_ctrl_c(tmp_path: Path) -> None:
    """Servers, worker, Beat and Flower run, are told of in a private file, and end in order with code 0."""
    (tmp_path / "data").mkdir()
    stale = tmp_path / "data" / "env"
    stale.write_text("DATABASE_URL=postgresql://127.0.0.1:1/gone\nREDIS_URL=redis://127.0.0.1:1/0\n")
    with running(tmp_path) as up:
        up.await_text("everything runs")
        family = up.family()
        urls = up.environment()
        assert stat.S_IMODE(stale.stat().st_mode) == 0o600
        psycopg2.connect(urls["DATABASE_URL"]).close()
        with Redis.from_url(urls["REDIS_URL"]) as client:
            assert client.ping()
        login = urls["FLOWER_BASIC_AUTH"]
        assert login.startswith("participation:")
        secrets = [
            login.partition(":")[2],
            *(str(urlsplit(urls[name]).password) for name in ("DATABASE_URL", "REDIS_URL")),
        ]
        assert [secret for secret in secrets if secret in up.said()] == []
        assert [up.ask_flower(each) for each in (None, "participation:", login)] == [401, 401, 200]
        assert stat.S_IMODE((up.data_dir / "flower.password").stat().st_mode) == 0o600

        second = subprocess.run(
            [*python(UP), str(up.data_dir)], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert "another `participation up` is running in" in second.stderr

        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(SECONDS) == 0
        assert_ended(family)
        assert not stale.exists()
        stopped = [line.split()[3] for line in up.said().splitlines() if line.startswith("up     | stopping")]
        assert stopped == ["flower", "beat", "worker", "Valkey", "PostgreSQL"]

    with running(tmp_path) as up:
        up.await_text("everything runs")
        assert up.environment() == urls
        assert up.ask_flower(login) == 200
        family = up.family()
        up.process.terminate()
        assert up.process.wait(SECONDS) == 0
        assert_ended(family)


def test_up__command_dies(tmp_path: Path) -> None:
    """When one command dies everything ends, with its name, its exit code and code 1."""
    with running(tmp_path) as up:
        up.await_text("everything runs")
        family = up.family()
        (beat,) = [process for process in family if "beat" in process.cmdline()]
        beat.kill()
        assert up.process.wait(SECONDS) == 1
        assert "up     | beat ended with signal SIGKILL: stopping everything" in up.said()
        assert_ended(family)


@pytest.mark.skipif(sys.platform != "linux", reason="a signal at the parent's death is Linux's")
def test_up__killed(tmp_path: Path) -> None:
    """When `up` itself is killed nothing runs on, and the next start finds the data."""
    with running(tmp_path) as up:
        up.await_text("everything runs")
        family = up.family()
        url = up.environment()["DATABASE_URL"]
        up.process.kill()
        up.process.wait()
        assert_ended(family)
    with Postgres(up.data_dir / "postgres", urlsplit(url).port) as server:
        assert server.url == url


def test_up__start_fails_halfway(tmp_path: Path) -> None:
    """When a given server is not there, what was started ends again."""
    with running(tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none") as up:
        up.await_text("migrating")
        family = up.family()
        assert up.process.wait(SECONDS) == 1
        assert_ended(family)
        assert "Unavailable" in up.said()
        assert "stopping Valkey" in up.said()
        assert "starting PostgreSQL" not in up.said()


def test_up__interrupted_while_starting(tmp_path: Path) -> None:
    """Ctrl-C during the start ends what was started."""
    with running(tmp_path) as up:
        up.await_text("starting Valkey")
        family = up.family()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(SECONDS) == 130
        assert_ended(family)


def test_up__login_and_port_of_flower_from_env_file(tmp_path: Path) -> None:
    """What `.env` says about Flower holds, and no password is made up beside it."""
    port = free_port()
    (tmp_path / ".env").write_text(f"FLOWER_BASIC_AUTH=ada:s3cret\nFLOWER_PORT={port}\n")
    with running(tmp_path) as up:
        up.await_text("everything runs")
        assert f"  Flower      http://ada@127.0.0.1:{port}\n" in up.said()
        assert [up.ask_flower(each) for each in (None, "ada:wrong", "ada:s3cret")] == [401, 401, 200]
        assert "s3cret" not in up.said()
        assert not (up.data_dir / "flower.password").exists()
        up.process.terminate()
        assert up.process.wait(SECONDS) == 0


def test_up__login_without_password(tmp_path: Path) -> None:
    """A login that Flower would refuse is an error before anything starts."""
    with running(tmp_path, FLOWER_BASIC_AUTH="s3cret") as up:
        assert up.process.wait(SECONDS) == 1
        assert "ConfigError: Flower: a login in FLOWER_BASIC_AUTH or --basic-auth is not user:password" in up.said()
        assert "starting" not in up.said()


def test_up__wrong_setting(tmp_path: Path) -> None:
    """A wrong setting is an error that names it."""
    with running(tmp_path, REDIS_URL="http://127.0.0.1") as up:
        assert up.process.wait(SECONDS) == 1
        assert "ConfigError: REDIS_URL: must begin with redis://" in up.said()
