"""The real Flower over HTTP: who is let in, and what it shows of a real worker."""

import json
import os
import re
import signal
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

import psutil
import pytest

from participation import keys, track_events
from participation.local.processes import free_port, kill, spawn
from tests.rows import event
from tests.worker import SECONDS, celery, eventually, running

LOGIN = "ada:s3cret"
LISTING = {
    "draw": 1,
    "start": 0,
    "length": 100,
    "search[value]": "",
    "order[0][column]": 0,
    "order[0][dir]": "asc",
    "columns[0][data]": "name",
}
PRIVATE = (
    *("/", "/workers", "/tasks", f"/tasks/datatable?{urlencode(LISTING)}", "/broker", "/task/1", "/worker/1"),
    *("/api/workers", "/api/tasks", "/api/task/types", "/api/queues/length", "/api/task/info/1"),
)
OPEN = ("/healthcheck", "/metrics")


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Flower:
    """A running Flower. `ask` returns the status and the text of a page."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, port: int) -> None:
        self.process, self.log, self.port = process, log, port

    def ask(self, path: str, login: str | None = LOGIN) -> tuple[int, str]:
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        request = Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with build_opener(_Stay).open(request, timeout=SECONDS) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def read(self, path: str) -> Any:
        status, answer = self.ask(path)
        assert status == 200, answer
        return json.loads(answer)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(URLError, ConnectionError):
            return self.ask("/healthcheck") == (200, "OK")
        return False

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return what the page of the tasks shows of those that succeeded, by name."""
        listed = self.read(f"/tasks/datatable?{urlencode(LISTING)}")["data"]
        return {task["name"]: task for task in listed if task["state"] == "SUCCESS"}

    def queues(self) -> dict[str, int]:
        return {each["name"]: each["messages"] for each in self.read("/api/queues/length")["active_queues"]}


@contextmanager
def flower(
    folder: Path, arguments: Sequence[str] = (), variables: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[Flower]:
    """Run `celery -A participation.app flower` in the folder. port: it finds this port in its settings."""
    log = folder / "flower.log"
    if port is None:
        port = free_port()
        arguments = (*arguments, f"--port={port}")
    with log.open("wb") as output:
        settings = {**os.environ, **(variables or {})}
        command = celery("flower", *arguments)
        process = spawn(command, signal.SIGTERM, stdout=output, stderr=output, cwd=folder, env=settings)
    try:
        found = Flower(process, log, port)
        eventually(found.answers)
        yield found
    finally:
        kill(process)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No login and no port come from the environment of the tests, or from a running `participation up`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("FLOWER_")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("environment")
def test_flower__shows_batches_days_and_the_events_queue(tmp_path: Path) -> None:
    """Login and port from `.env`; waiting events, a stored batch and a computed day are on its pages."""
    port = free_port()
    (tmp_path / ".env").write_text(f"FLOWER_BASIC_AUTH={LOGIN},bob:other\nFLOWER_PORT={port}\n")
    day = "2026-03-29"
    unique = [event(object_id=str(number), occurred_at=f"{day}T12:00:00Z") for number in range(4_980)]
    track_events([*unique, *unique[:20]])

    with flower(tmp_path, port=port) as it:
        assert it.queues() == {keys.EVENTS: 5_000, keys.FLUSH: 0, keys.NIGHTLY: 0}
        with running(tmp_path / "worker.log", "-n", "worker@test"):
            eventually(lambda: keys.FLUSH_BATCH in it.tasks())
            subprocess.run([*celery(), "call", keys.COMPUTE_DUE_DAYS], check=True, capture_output=True)
            eventually(lambda: keys.COMPUTE_HIGHLIGHTS in it.tasks())
            eventually(lambda: "worker@test" in it.read("/api/workers?refresh=true"))
            (worker,) = it.read("/api/workers").values()
        tasks = it.tasks()
        track_events(unique[:3])

        assert tasks[keys.FLUSH_BATCH]["result"] == "'stored 4,980 · duplicates 20 · dead 0'"
        assert tasks[keys.FLUSH_BATCH]["runtime"] > 0
        assert tasks[keys.COMPUTE_DUE_DAYS]["result"] == "'1 days due'"
        assert tasks[keys.COMPUTE_HIGHLIGHTS]["result"] == f"'c {day}'"
        assert ">Result</th>" in it.ask("/tasks")[1]
        assert {queue["name"] for queue in worker["active_queues"]} == {keys.EVENTS, keys.FLUSH, keys.NIGHTLY}
        assert it.queues() == {keys.EVENTS: 3, keys.FLUSH: 0, keys.NIGHTLY: 0}
        assert re.search(rf"<td>{keys.EVENTS}</td>\s*<td[^>]*>\s*3\b", it.ask("/broker")[1])
        assert it.ask("/broker", "bob:other")[0] == 200


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("arguments", "variables", "files"),
    [
        ((), {"FLOWER_BASIC_AUTH": LOGIN}, {}),
        ((), {"FLOWER_BASIC_AUTH": LOGIN}, {".env": "FLOWER_BASIC_AUTH=eve:guess\n"}),
        ((), {}, {".env": f"FLOWER_BASIC_AUTH='{LOGIN}'\n"}),
        ((f"--basic_auth={LOGIN}",), {}, {}),
        ((f"--basic-auth={LOGIN}",), {}, {".env": "FLOWER_BASIC_AUTH=eve:guess\n"}),
        ((), {}, {"flowerconfig.py": f"basic_auth = ['{LOGIN}']\n"}),
    ],
    ids=["environment", "environment before .env", ".env", "basic_auth", "basic-auth before .env", "flowerconfig.py"],
)
def test_flower__lets_nobody_in_without_login(
    tmp_path: Path, arguments: tuple[str, ...], variables: Mapping[str, str], files: Mapping[str, str]
) -> None:
    """Wherever the login is set, each page and each answer of the API asks for it, and only this machine is served."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with flower(tmp_path, arguments, variables) as it:
        for login in (None, "ada:wrong", "eve:guess", ":", LOGIN.upper()):
            assert {path: it.ask(path, login)[0] for path in PRIVATE} == dict.fromkeys(PRIVATE, 401)
        assert {path: it.ask(path)[0] for path in ("/tasks", "/api/tasks")} == {"/tasks": 200, "/api/tasks": 200}
        assert {path: it.ask(path, None)[0] for path in OPEN} == dict.fromkeys(OPEN, 200)
        assert _listens(it.process.pid) == {("127.0.0.1", it.port)}


def _listens(pid: int) -> set[tuple[str, int]]:
    found = psutil.Process(pid).net_connections("tcp")
    return {(each.laddr.ip, each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN}


@pytest.mark.usefixtures("environment")
def test_flower__with_another_provider(tmp_path: Path) -> None:
    """A login of OAuth is a login: Flower starts, and sends strangers to the provider."""
    options = ("--auth=.*@example.com", "--auth_provider=flower.views.auth.GithubLoginHandler")
    with flower(tmp_path, options, {"FLOWER_OAUTH2_KEY": "key", "FLOWER_OAUTH2_SECRET": "secret"}) as it:
        assert it.ask("/tasks", None)[0] == 302
        assert it.ask("/api/tasks", None)[0] in {302, 401}


NO_LOGIN = "error: FLOWER_BASIC_AUTH is not set, and Flower needs a login: put FLOWER_BASIC_AUTH=user:password "
NOT_A_LOGIN = "error: Flower: a login in FLOWER_BASIC_AUTH or --basic-auth is not user:password; write each in ASCII, "


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        ((), {}, NO_LOGIN),
        ((), {"FLOWER_BASIC_AUTH": ""}, NO_LOGIN),
        ((), {"FLOWER_BASIC_AUTH": "s3cret"}, NOT_A_LOGIN),
        ((), {"FLOWER_BASIC_AUTH": ":s3cret"}, NOT_A_LOGIN),
        ((), {"FLOWER_BASIC_AUTH": "ada:"}, NOT_A_LOGIN),
        ((), {"FLOWER_BASIC_AUTH": "ada:s3cret,"}, NOT_A_LOGIN),
        ((), {"FLOWER_BASIC_AUTH": "ada:ß3cret"}, NOT_A_LOGIN),
        (("--basic_auth=s3cret",), {"FLOWER_BASIC_AUTH": LOGIN}, NOT_A_LOGIN),
        ((), {"REDIS_URL": "http://s3cret"}, "error: REDIS_URL: must begin with redis://"),
    ],
)
def test_flower__refuses_to_start_open(
    tmp_path: Path, arguments: tuple[str, ...], variables: Mapping[str, str], said: str
) -> None:
    """Without a login, or with a wrong one, Flower ends with code 2 and one line, which does not repeat the value."""
    command = celery("flower", f"--port={free_port()}", *arguments)
    settings = {**os.environ, **variables}
    ended = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, timeout=SECONDS, check=False)
    assert ended.returncode == 2
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith(said)
    assert "3cret" not in line
