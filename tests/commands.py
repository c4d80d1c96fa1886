"""The program as a process of its own."""

import subprocess
import sys
from pathlib import Path

from tests.worker import SECONDS

PARTICIPATION = [sys.executable, "-c", "from participation.cli import main; main()"]


def run(*arguments: str | Path, code: int = 0, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, which must be with this exit code."""
    ended = subprocess.run([*PARTICIPATION, *arguments], input=given, capture_output=True, timeout=SECONDS, check=False)
    assert ended.returncode == code, ended
    return ended
