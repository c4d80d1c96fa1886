"""Installs the wheel as its users do, in environments and folders of its own: `python -m tests.install`.

First the base install, with the newest versions on the index: it publishes, and says which extra a missing part needs.
Then the extras `server` and `local`: the demo runs in an empty folder.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from redis import Redis

from participation import keys
from participation.local.valkey import Valkey

ROOT: Final = Path(__file__).parents[1]

PUBLISH: Final = """
import sys
from participation import track_event, track_events
from participation.publish import flush, track

event = {"event_type": "MESSAGE_SENT", "platform": "irc", "community_id": "c", "member_id": "ada"}
event["occurred_at"] = "2026-03-10T12:00:00Z"
track_event.delay(event)
assert track_events([event, event]) == 2
assert track(event)
assert flush(60).waiting == 0
assert not {"sqlalchemy", "psycopg2", "typer", "rich", "flower"} & {*sys.modules}
"""


class Environment:
    """A virtual environment with the wheel and some extras, and an empty folder to work in."""

    def __init__(self, folder: Path, wheel: Path, extras: str) -> None:
        self.bin = folder / "bin"
        self.work = folder / "work"
        self.home = folder / "home"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.work.mkdir()
        self.home.mkdir()
        self.run(self.bin / "pip", "install", "--quiet", f"{wheel}{extras}")
        packages = len(self.run(self.bin / "pip", "list", "--format", "freeze").splitlines())
        (site,) = folder.glob("lib/python3*/site-packages")
        size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file() and not file.is_symlink())
        say(f"installed {extras or '[base]'}: {packages} packages with pip, {size / 1_000_000:.0f} MB with pip")

    def run(self, *command: str | Path, code: int = 0, **environment: str) -> str:
        """Run a command to its end, which must be with this exit code; return all that it printed."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
        ended = subprocess.run(
            command,
            cwd=self.work,
            env={
                **inherited,
                "HOME": str(self.home),
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_NO_CACHE_DIR": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert ended.returncode == code, f"{command} ended with {ended.returncode}, not {code}:\n{ended.stdout}"
        return ended.stdout


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def check_base(environment: Environment, valkey: Valkey) -> None:
    """The base install publishes, and every command that needs more says what to install."""
    python = environment.bin / "python"
    environment.run(python, "-c", PUBLISH, REDIS_URL=valkey.url)
    with Redis.from_url(valkey.url) as redis:
        assert redis.llen(keys.EVENTS) == 4
    worker: Sequence[str] = (str(environment.bin / "celery"), "-A", "participation.app", "worker")
    for command in ((str(environment.bin / "participation"), "--help"), worker):
        said = environment.run(*command, code=2, REDIS_URL=valkey.url)
        assert "install community-participation[server]" in said, said
    said = environment.run(python, "-c", "import participation.bots.discord", code=1)
    assert "install community-participation[discord]" in said, said
    say("the base install publishes, and names the extra that is missing")


def check_demo(environment: Environment) -> None:
    """The demo runs from the wheel, in an empty folder, and leaves nothing there."""
    said = environment.run(environment.bin / "participation", "demo")
    assert "dead 0" in said, said
    left = [str(path) for path in environment.work.rglob("*")]
    assert left == [], left
    say("the demo runs from the wheel in an empty folder")


def main() -> None:
    with TemporaryDirectory(prefix="participation-install-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([*build, "--wheel-dir", folder / "dist", ROOT], check=True)
        (wheel,) = (folder / "dist").glob("community_participation-*.whl")
        with Valkey(folder / "valkey") as valkey:
            check_base(Environment(folder / "base", wheel, ""), valkey)
        check_demo(Environment(folder / "server", wheel, "[server,local]"))


if __name__ == "__main__":
    main()
