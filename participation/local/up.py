"""Everything on this machine in one go: servers, migrations, worker, Beat and Flower, until Ctrl-C."""

import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from pydantic import ValidationError

from participation.errors import ConfigError
from participation.local.postgres import Postgres
from participation.local.process import Server, free_port
from participation.local.supervisor import Supervisor
from participation.local.valkey import Valkey
from participation.settings import DATA_DIR, LOCAL_ENV, Settings

POSTGRES_PORT = 5432
REDIS_PORT = 6379
FLOWER_PORT = 5555

INTERRUPTED = 130


def up(data_dir: Path, out: TextIO) -> int:
    """Run everything until a signal comes or something ends; return the exit code.

    Starts servers below `data_dir` unless the environment or `.env` names others. For the main thread only.
    Raises `ConfigError` or `Unavailable` when it cannot start; whatever was started has ended by then.
    """
    data_dir = data_dir.expanduser().absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_hold(data_dir))
        supervisor = stack.enter_context(Supervisor(out))
        try:
            settings = _servers(data_dir, supervisor, stack)
            _migrate(settings, supervisor)
            urls = {"DATABASE_URL": settings.database_url or "", "REDIS_URL": settings.redis_url or ""}
            stack.enter_context(_announced(data_dir, urls))
            flower_port = _port(data_dir, "flower", FLOWER_PORT)
            _commands(data_dir, urls, flower_port, supervisor, stack)
            return supervisor.run(lambda: supervisor.say(_banner(data_dir, urls, flower_port)))
        except KeyboardInterrupt:
            supervisor.say("interrupted while starting: stopping everything")
            return INTERRUPTED


@contextmanager
def _hold(data_dir: Path) -> Iterator[None]:
    with open(data_dir / "lock", "w", opener=_private) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another `participation up` runs on {data_dir}: stop it, or choose another --data-dir"
            ) from None
        yield


def _servers(data_dir: Path, supervisor: Supervisor, stack: ExitStack) -> Settings:
    """Start the servers that are not given and return the settings with both."""
    settings = _given()
    if settings.database_url is None:
        postgres = Postgres(data_dir / "postgres", _port(data_dir, "postgres", POSTGRES_PORT))
        _start(postgres, supervisor, stack)
        settings = settings.model_copy(update={"database_url": postgres.url})
    if settings.redis_url is None:
        valkey = Valkey(data_dir / "valkey", _port(data_dir, "valkey", REDIS_PORT))
        _start(valkey, supervisor, stack)
        settings = settings.model_copy(update={"redis_url": valkey.url})
    return settings


def _given() -> Settings:
    # Not `settings.load`: it also reads the file that an earlier `up` may have left.
    try:
        return Settings(_env_file=".env")
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{first['loc'][0]}: {first['msg']}; correct it in the environment or .env"
        ) from error


def _start(server: Server, supervisor: Supervisor, stack: ExitStack) -> None:
    def stop() -> None:
        supervisor.say(f"stopping {server.name}")
        server.stop()

    supervisor.say(f"starting {server.name} on 127.0.0.1:{server.port}")
    stack.callback(stop)
    server.start()
    supervisor.watch(server)


def _port(data_dir: Path, name: str, preferred: int) -> int:
    """Choose the port that this folder used before, else the preferred one, else any; and remember it."""
    file = data_dir / f"{name}.port"
    before = file.read_text().strip() if file.exists() else ""
    port = free_port(*([int(before)] if before.isdecimal() else []), preferred)
    file.write_text(f"{port}\n")
    return port


def _migrate(settings: Settings, supervisor: Supervisor) -> None:
    from participation.store.migrate import migrate

    supervisor.say("migrating the database")
    migrate(settings.database(), settings.partitions_ahead_months)


@contextmanager
def _announced(data_dir: Path, urls: dict[str, str]) -> Iterator[None]:
    """Name the servers to the other commands of this user for as long as they run."""
    file = data_dir / LOCAL_ENV
    unfinished = data_dir / f"{LOCAL_ENV}.new"
    with open(unfinished, "w", opener=_private) as new:
        new.writelines(f"{name}={value}\n" for name, value in urls.items())
    unfinished.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _commands(
    data_dir: Path, urls: dict[str, str], flower_port: int, supervisor: Supervisor, stack: ExitStack
) -> None:
    """Start worker, Beat and Flower, with the sign by which each tells that it is ready."""
    schedule = f"--schedule={data_dir / 'celerybeat-schedule'}"
    flower = ("flower", "--address=127.0.0.1", f"--port={flower_port}")
    worker = ("worker", "--concurrency=2", "--loglevel=INFO", "-n", "worker@%h")
    beat = ("beat", "--loglevel=INFO", schedule, "--pidfile=")
    for arguments, sign in ((worker, " ready."), (beat, "beat: Starting"), (flower, "Connected to")):
        name = arguments[0]
        command = [sys.executable, "-m", "celery", "-A", "participation.app", *arguments]
        stack.callback(supervisor.stop, name)
        supervisor.say(f"starting {name}")
        supervisor.start(name, command, {**os.environ, **urls}, sign)
        if name == "beat":
            supervisor.await_ready()  # Flower asks the worker once, at its start, what it is


def _banner(data_dir: Path, urls: dict[str, str], flower_port: int) -> str:
    file = data_dir / LOCAL_ENV
    environment = "" if data_dir == DATA_DIR else f"env $(cat {shlex.quote(str(file))}) "
    return f"""
everything runs
  PostgreSQL  {_without_password(urls["DATABASE_URL"])}
  Redis       {_without_password(urls["REDIS_URL"])}
  Flower      http://127.0.0.1:{flower_port}
  data        {data_dir} (the servers' full URLs: {file})
  try         {environment}participation status
  stop        Ctrl-C

"""


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}@{host}" if parts.username else host, query="").geturl()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
