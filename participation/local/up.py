"""`participation up`: runs servers, migrations, a worker, Beat and Flower on this machine until Ctrl-C."""

import fcntl
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from participation import flower, private_files
from participation.errors import ConfigError
from participation.local.postgres import Postgres
from participation.local.processes import free_port
from participation.local.server import Server
from participation.local.supervisor import Command, Supervisor
from participation.local.system_user import LINK
from participation.local.valkey import Valkey
from participation.settings import DATA_DIR, LOCAL_ENV, Settings, read

POSTGRES_PORT = 5432
REDIS_PORT = 6379
FLOWER_PORT = 5555
FLOWER_USER = "participation"

INTERRUPTED = 130

WORKER_STOPPING = ((signal.SIGTERM, 30.0), (signal.SIGQUIT, 10.0))
"""First a warm shutdown, in which running tasks end, then a cold one."""

STOPPING = ((signal.SIGTERM, 5.0),)
"""Short, because nothing is lost with Beat or Flower, and they may wait for a Redis that has ended."""


def up(data_dir: Path, out: TextIO) -> int:
    """Run everything until a signal arrives or a command or server ends; return the exit code.

    Starts servers below `data_dir`, unless the environment or `.env` names others. Must run in the main thread. Raises
    `ConfigError` or `Unavailable` if it cannot start. Everything that was started has ended then.
    """
    data_dir = data_dir.expanduser().absolute()
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--data-dir {data_dir}: {error.strerror}: choose a folder that you can write to") from error
    with ExitStack() as stack:
        stack.enter_context(_lock(data_dir))
        supervisor = stack.enter_context(Supervisor(out))
        try:
            # Not `settings.load`, which also reads the file that an earlier `up` may have left.
            settings = read(Path(".env"))
            login = _login(data_dir, settings)
            settings = _servers(data_dir, settings, supervisor, stack)
            _migrate(settings, supervisor)
            urls = {"DATABASE_URL": settings.database_url or "", "REDIS_URL": settings.redis_url or ""}
            variables = urls | {flower.LOGINS: login}
            stack.enter_context(_env_file(data_dir, variables))
            flower_port = settings.flower_port or _port(data_dir, "flower", FLOWER_PORT)
            for command in (_worker(), _beat(data_dir)):
                _run(urls, command, supervisor, stack)
            supervisor.await_ready()  # Flower asks for information about the worker only once
            _run(variables, _flower(flower_port), supervisor, stack)
            return supervisor.run(lambda: supervisor.say(_banner(data_dir, variables, flower_port)))
        except KeyboardInterrupt:
            supervisor.say("interrupted while starting: stopping everything")
            return INTERRUPTED


@contextmanager
def _lock(data_dir: Path) -> Iterator[None]:
    with open(data_dir / "lock", "w", opener=private_files.opener) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another `participation up` is running in {data_dir}: stop it, or choose another --data-dir"
            ) from None
        yield


def _login(data_dir: Path, settings: Settings) -> str:
    """Return the logins of Flower that are set, or one with a password that is kept in `data_dir`."""
    given = settings.flower_basic_auth
    if given and (logins := given.get_secret_value()):
        flower.check_logins(logins.split(","))
        return logins
    return f"{FLOWER_USER}:{private_files.password(data_dir / 'flower.password')}"


def _servers(data_dir: Path, settings: Settings, supervisor: Supervisor, stack: ExitStack) -> Settings:
    """Start each server for which no URL is set; return the settings with both URLs."""
    if settings.database_url is None:
        postgres = Postgres(data_dir / "postgres", _port(data_dir, "postgres", POSTGRES_PORT))
        _start(postgres, supervisor, stack)
        settings = settings.model_copy(update={"database_url": postgres.url})
    if settings.redis_url is None:
        valkey = Valkey(data_dir / "valkey", _port(data_dir, "valkey", REDIS_PORT))
        _start(valkey, supervisor, stack)
        settings = settings.model_copy(update={"redis_url": valkey.url})
    return settings


def _start(server: Server, supervisor: Supervisor, stack: ExitStack) -> None:
    def stop() -> None:
        supervisor.say(f"stopping {server.name}")
        server.stop()

    supervisor.say(f"starting {server.name} on 127.0.0.1:{server.port}")
    stack.callback(stop)
    server.start()
    supervisor.watch(server)


def _port(data_dir: Path, name: str, preferred: int) -> int:
    """Choose the port that this folder used before, or the preferred one, or any free port; store it in a file."""
    file = data_dir / f"{name}.port"
    before = file.read_text().strip() if file.exists() else ""
    port = free_port(*([int(before)] if before.isdecimal() else []), preferred)
    file.write_text(f"{port}\n")
    return port


def _migrate(settings: Settings, supervisor: Supervisor) -> None:
    from participation.store.schema.migrate import migrate

    supervisor.say("migrating the database")
    migrate(settings.database(), settings.partitions_ahead_months)


@contextmanager
def _env_file(data_dir: Path, variables: dict[str, str]) -> Iterator[None]:
    """Write the URLs and the login of Flower into a file for the other commands of this user; delete it at the end."""
    file = data_dir / LOCAL_ENV
    unfinished = data_dir / f"{LOCAL_ENV}.new"
    with open(unfinished, "w", opener=private_files.opener) as new:
        new.writelines(f"{name}={value}\n" for name, value in variables.items())
    unfinished.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _run(variables: dict[str, str], command: Command, supervisor: Supervisor, stack: ExitStack) -> None:
    supervisor.say(f"starting {command.name}")
    stack.callback(supervisor.stop, command.name)
    supervisor.start(command, {**os.environ, **variables})


def _worker() -> Command:
    arguments = ("worker", "--concurrency=2", "--loglevel=INFO", "-n", "worker@%h")
    return Command("worker", _celery(*arguments), " ready.", WORKER_STOPPING)


def _beat(data_dir: Path) -> Command:
    arguments = ("beat", "--loglevel=INFO", f"--schedule={data_dir / 'celerybeat-schedule'}", "--pidfile=")
    return Command("beat", _celery(*arguments), "beat: Starting", STOPPING)


def _flower(port: int) -> Command:
    return Command("flower", _celery("flower", "--address=127.0.0.1", f"--port={port}"), "Connected to", STOPPING)


def _celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "participation.app", *arguments]


def _banner(data_dir: Path, variables: dict[str, str], flower_port: int) -> str:
    file = data_dir / LOCAL_ENV
    user = variables[flower.LOGINS].partition(":")[0]
    elsewhere = data_dir / "postgres" / LINK
    place = f"{data_dir} and {elsewhere.resolve()}" if elsewhere.exists() else data_dir
    environment = "" if data_dir == DATA_DIR.expanduser() else f"env $(cat {shlex.quote(str(file))}) "
    return f"""
everything runs
  PostgreSQL  {_without_password(variables["DATABASE_URL"])}
  Redis       {_without_password(variables["REDIS_URL"])}
  Flower      http://{user}@127.0.0.1:{flower_port}
  passwords   {file}
  data        {place}
  try         {environment}participation status
  stop        Ctrl-C

"""


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}@{host}" if parts.username else host, query="").geturl()
