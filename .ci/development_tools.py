"""Prints the development tools with the versions of `requirements.lock`, for the lock file of the lowest versions."""

import re
import tomllib
from pathlib import Path

names = tomllib.loads(Path("pyproject.toml").read_text())["dependency-groups"]["dev"]
pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", Path("requirements.lock").read_text(), re.MULTILINE))
for name in names:
    bare = re.match(r"[\w.-]+", name)
    assert bare  # noqa: S101
    extras = name.removeprefix(bare[0]).partition("==")[0]
    print(f"{bare[0]}{extras}=={pins[bare[0].lower()]}")  # noqa: T201
