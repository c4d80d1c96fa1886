"""The bots of `examples/node` as processes, and what they sent."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from redis import Redis

from participation import keys, message
from participation.event import Event, decode, derive_id, format_time
from participation.local.processes import kill, spawn
from tests.worker import SECONDS, eventually

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "node"

FIXED: Final = "2026-03-10T12:00:00+00:00"

RECEIVED: Final = {"REACTION_ADDED", "REACTION_REMOVED", "VOICE_JOINED", "VOICE_PRESENT", "VOICE_LEFT", "MEMBER_LEFT"}
"""The events for which Discord tells no time: each bot takes the time at which it got the update."""


def install(folder: Path) -> Path:
    """Install the example as its first line says, but without running scripts of the packages."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", f"--cache={folder / 'cache'}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=180)
    return folder


def run_script(folder: Path, script: str, *prefix: str, **environment: str) -> str:
    """Run JavaScript beside the bots, and return what it says. prefix: the command that runs Node."""
    command = [*prefix, "node", "--input-type=module", "-e", script]
    options: Any = {"capture_output": True, "text": True, "timeout": SECONDS}
    ended = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=False, **options)
    assert ended.returncode == 0, ended.stderr
    return str(ended.stdout + ended.stderr)


@dataclass
class NodeBot:
    """One of the bots. folder: where it is installed. home: where it has its spool and its log, over a restart too."""

    folder: Path
    home: Path
    file: str
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def log(self) -> str:
        path = self.home / "bot.log"
        return path.read_text() if path.exists() else ""

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    def launch(self, **more: str) -> None:
        """Start the bot, without waiting for it."""
        environment = {**os.environ, **self.environment, "PARTICIPATION_SPOOL_DIR": str(self.spool), **more}
        with (self.home / "bot.log").open("ab") as log:
            self.process = spawn(
                ["node", self.file], signal.SIGKILL, cwd=self.folder, env=environment, stdout=log, stderr=log
            )

    def start(self, polls: Callable[[], int], **more: str) -> None:
        """Start the bot, and wait until it has asked for updates."""
        before = polls()
        self.launch(**more)
        eventually(lambda: polls() > before or self._process.poll() is not None)
        assert self._process.poll() is None, self.log

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the bot, and check that it ended well."""
        self._process.send_signal(number)
        assert self._process.wait(SECONDS) == (-number if number is signal.SIGKILL else 0), self.log

    def spooled(self) -> list[str]:
        """Return the files of spools in which there is something."""
        return [path.name for path in self.spool.glob("*.messages") if path.stat().st_size]

    @property
    def _process(self) -> "subprocess.Popen[bytes]":
        assert self.process is not None
        return self.process


@contextmanager
def node_bot(folder: Path, home: Path, file: str, **environment: str) -> Iterator[NodeBot]:
    """Prepare a bot, and kill what is left of it at the end."""
    bot = NodeBot(folder, home, file, environment)
    try:
        yield bot
    finally:
        if bot.process is not None:
            kill(bot.process)


def queued(redis: Redis, task: str = keys.TRACK_EVENT) -> list[Any]:
    """Return the arguments of the calls of this task in the queue, the oldest first."""
    raws: Any = redis.lrange(keys.EVENTS, 0, -1)
    messages = [message.decode(raw) for raw in reversed(raws)]
    return [each.argument for each in messages if each.task == task]


def events(redis: Redis) -> list[Event]:
    return [decode(each) for each in queued(redis)]


def names(redis: Redis) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the names in the queue by kind and id. The last one counts."""
    return {(each["kind"], each["id"]): each for notice in queued(redis, keys.NOTE_NAMES) for each in notice}


def identity(event: Event) -> str:
    """Return the event_id. If the platform tells no time, it is the one at a fixed time."""
    return derive_id(event, FIXED if event.event_type in RECEIVED else format_time(event.occurred_at))
