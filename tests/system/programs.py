"""The programs of Debian that these tests need. Run as a module, it prints the packages that are missing.

It needs only Python, so that CI can run it before anything is installed.
"""

import os
import shutil
import sys
from typing import Final

PATH: Final = os.pathsep.join(["/usr/lib/postgresql/15/bin", os.environ.get("PATH", os.defpath), "/usr/sbin"])
"""Debian has PostgreSQL's programs, and PgBouncer, in folders that an ordinary user does not search."""

PACKAGES: Final = {
    "initdb": "postgresql-15",
    "postgres": "postgresql-15",
    "pg_dump": "postgresql-client-15",
    "pg_restore": "postgresql-client-15",
    "psql": "postgresql-client-15",
    "pgbouncer": "pgbouncer",
    "redis-server": "redis-server",
    "node": "nodejs",
    "npm": "npm",
    "systemd-analyze": "systemd",
}
"""The package of each program."""


def program(name: str) -> str:
    """Return the path of a program."""
    path = shutil.which(name, path=PATH)
    assert path, f"{name} is missing: install Debian's package {PACKAGES[name]}"
    return path


def missing() -> list[str]:
    """Return the packages whose program does not exist on this machine."""
    found = {package for name, package in PACKAGES.items() if shutil.which(name, path=PATH) is None}
    return sorted(found)


if __name__ == "__main__":
    packages = " ".join(missing())
    print(packages)  # noqa: T201 - the caller reads it
    if packages:
        sys.exit(f"error: programs are missing: run `apt-get install --no-install-recommends {packages}` as root")
