"""Commands on terminals of every kind: any encoding, Ctrl-C at any moment, a server that is away."""

import json
import subprocess
import sys

import pytest
from sqlalchemy import Engine

from tests.commands import PARTICIPATION
from tests.rows import event, put
from tests.worker import SECONDS

NAME = "Café 🚢 Гавань"

INTERRUPTED = """
import os, signal, sys
from participation.cli import main

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["communities", "list"]
main()
"""


def run(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    return subprocess.run([*PARTICIPATION, *arguments], capture_output=True, timeout=SECONDS, check=False)


@pytest.fixture
def community(engine: Engine, shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_url)
    put(engine, [event(community_id=NAME, member_id=NAME, object_id=NAME)])


@pytest.mark.usefixtures("community")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1251", "utf-8"])
def test_encoding__of_the_output_may_be_any(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """What it cannot write is escaped: text can be read, and JSON is the same JSON."""
    told = run(monkeypatch, encoding, "communities", "list")
    assert (told.returncode, told.stderr) == (0, b"")
    read_as = "utf-8" if encoding == "ascii" else encoding  # click takes ASCII for a mistake
    assert "Caf" in told.stdout.decode(read_as)
    exported = run(monkeypatch, encoding, "members", "export", f"irc:{NAME}")
    assert exported.returncode == 0
    lines = [json.loads(line) for line in exported.stdout.decode(read_as).splitlines()]
    assert [line["community_id"] for line in lines if line["kind"] == "event"] == [NAME]
    refused = run(monkeypatch, encoding, "highlights", "show", "--community", f"{NAME}!")
    assert refused.returncode == 2
    assert b"Traceback" not in refused.stderr


@pytest.mark.usefixtures("community")
@pytest.mark.parametrize(
    "module",
    [
        "participation.cli.app",
        "typer",
        "participation.cli.communities",
        "participation.settings",
        "sqlalchemy",
        "psycopg2",
    ],
)
def test_ctrl_c__while_a_command_is_loaded(module: str) -> None:
    """Ctrl-C ends a command with 130 and without a traceback, also before it has begun."""
    program = f"MODULE = {module!r}\n{INTERRUPTED}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=SECONDS, check=False)
    assert (ended.returncode, ended.stderr) == (130, b"")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("variable", "url", "known", "unknown"),
    [
        ("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/n", "queue_length", "days_due"),
        ("REDIS_URL", "redis://127.0.0.1:1/0", "days_due", "queue_length"),
    ],
)
def test_status__says_what_the_other_server_knows(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str, known: str, unknown: str
) -> None:
    """With one server away, the half of the other is printed, the error names the one, and the code is 2."""
    monkeypatch.setenv(variable, url)
    told = run(monkeypatch, "utf-8", "status")
    assert told.returncode == 2
    assert variable.encode() in told.stderr
    assert known.replace("_", " ") in told.stdout.decode()
    assert unknown.replace("_", " ") not in told.stdout.decode()
    read = json.loads(run(monkeypatch, "utf-8", "status", "--json").stdout)
    assert (read[known], read[unknown]) == (0, None)
    assert variable in read["errors"][0]
