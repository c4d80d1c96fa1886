"""The command line as its callers see it, as far as no server is needed: help, exit codes, one line for an error."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from participation import settings
from participation.cli import main
from participation.cli.app import app
from tests.worker import SECONDS

OURS = ("PARTICIPATION_", "DATABASE_URL", "REDIS_URL")
PROGRAM = "import sys; sys.argv[0] = 'participation'; from participation.cli import main; main()"


class Outcome(NamedTuple):
    """How a command ended."""

    code: object
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process, in a folder of its own, with only the settings that are given."""
    for name in [name for name in os.environ if name.upper().startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    monkeypatch.setenv("COLUMNS", "60")

    def run(*words: str, **environment: str) -> Outcome:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["participation", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        for name in environment:
            monkeypatch.delenv(name)
        return Outcome(ended.value.code, *capfd.readouterr())

    return run


def run_apart(folder: Path, *words: str, **environment: str) -> Outcome:
    """Run the program in a process of its own, any warning being an error; this folder is also its home."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(OURS)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *words],
        cwd=folder,
        env={**inherited, "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def refusal(outcome: Outcome) -> str:
    """Return the one line with which the program refused a command."""
    assert outcome.err.startswith("error: "), outcome.err
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1, outcome.err
    assert (outcome.code, outcome.out) == (2, "")
    return outcome.err.removeprefix("error: ").removesuffix("\n")


def commands() -> Iterator[list[str]]:
    """Yield the words of every command that there is."""

    def walk(command: object, words: list[str]) -> Iterator[list[str]]:
        if isinstance(command, TyperGroup):
            for name in command.list_commands(ctx):
                yield from walk(command.get_command(ctx, name), [*words, name])
        else:
            yield words

    group = get_command(app)
    ctx: Any = None
    yield from walk(group, [])


@pytest.fixture(scope="module")
def nobody() -> Iterator[int]:
    """A port that is taken and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help__has_an_example(run: Run, words: list[str]) -> None:
    """Every command explains itself with an example that begins with the command's own words, and needs no settings."""
    code, out, err = run(*words, "--help")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert text.startswith("Usage: ")
    assert f"participation {' '.join(words)} [OPTIONS]" in text
    assert f"participation {' '.join(words)}" in text.partition("Example: ")[2]


def test_participation__without_a_command_lists_them(run: Run) -> None:
    """Who types only the name learns what there is."""
    code, out, err = run()
    assert (code, err) == (0, "")
    assert {line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()} >= {
        words[0] for words in commands()
    }


SHOW = ("highlights", "show", "--community", "c")
COMPUTE = ("highlights", "compute", "--community", "c")
LETTERS = ("dead-letters",)
MOMENT = (
    "write a duration before now such as 24h, 7d or 4w, a date such as 2026-03-29, or a time such as "
    "2026-03-29T12:00:00Z"
)
CODE = "write it as `participation dead-letters list --json` shows it"
WHICH = "choose the letters in exactly one way: by ids (for example `replay 22 23`), by --reason CODE, or by --all"
ONE = "--event repairs one letter: give its id, for example `replay 22 --event event.json`"
HINT = "write it as YYYY-MM-DD, for example 2026-03-29"
TOGETHER = "only one of --from and --to is given: give both"
UNSET = "{} is not set: put it into the environment or into .env, as {}://…, or start servers with `participation up`"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nonsense",), "No such command 'nonsense'."),
        (("statsu",), "No such command 'statsu'. Did you mean 'status'?"),
        (("--nonsense",), "No such option: --nonsense"),
        (("highlights",), "Missing command."),
        (("highlights", "nonsense"), "No such command 'nonsense'."),
        (("highlights", "show"), "Missing option '--community'."),
        (("members", "link"), "Missing argument 'PERSON'."),
        (("members", "link", "ada"), "Missing argument 'PLATFORM:ACCOUNT…'."),
        (("communities", "set"), "Missing argument 'ID'."),
        (("communities", "set", "c"), "nothing to set: give an option, for example --timezone or --name"),
        (("import", "events"), "Missing argument 'FILE…'."),
        ((*SHOW, "--date", "yesterday"), f"--date: 'yesterday' is not a date: {HINT}"),
        ((*SHOW, "--date", ""), f"--date: '' is not a date: {HINT}"),
        ((*SHOW, "--date", "2026-02-29"), f"--date: '2026-02-29' is not a date: {HINT}"),
        ((*SHOW, "--date", "29.03.2026"), f"--date: '29.03.2026' is not a date: {HINT}"),
        ((*SHOW, "--date", "2026-03-29T00:00"), f"--date: '2026-03-29T00:00' is not a date: {HINT}"),
        ((*SHOW, "--date", "2026\n\x1b[2J"), f"--date: '2026\\n\\x1b[2J' is not a date: {HINT}"),
        ((*SHOW, "--from", "x", "--to", "2026-03-29"), f"--from: 'x' is not a date: {HINT}"),
        ((*SHOW, "--from", "2026-03-29", "--to", "x"), f"--to: 'x' is not a date: {HINT}"),
        ((*SHOW, "--from", "2026-03-29"), TOGETHER),
        ((*COMPUTE, "--to", "2026-03-29"), TOGETHER),
        (
            (*COMPUTE, "--from", "2026-03-29", "--to", "2026-03-28"),
            "--from 2026-03-29 is after --to 2026-03-28: swap them",
        ),
        (
            (*SHOW, "--date", "2026-03-29", "--to", "2026-03-29"),
            "--date cannot be combined with --from and --to: give one day or a range of days",
        ),
        (
            ("highlights", "compute", "--date", "2026-03-29"),
            "--community is missing: --date, --from and --to need it, because dates are local to a community",
        ),
        (
            ("import", "events", "missing.ndjson"),
            "missing.ndjson: cannot be read (No such file or directory); nothing was imported",
        ),
        (("import", "events", "."), ".: cannot be read (Is a directory); nothing was imported"),
        ((*LETTERS, "list", "--all", "--replayed"), "--replayed cannot be combined with --all: give one of them"),
        (
            (*LETTERS, "list", "--raw"),
            "--raw needs --json; to read a message, use `participation dead-letters show ID`",
        ),
        ((*LETTERS, "list", "--since", "3m"), f"--since: '3m' is not a time: {MOMENT}"),
        ((*LETTERS, "list", "--until", "now"), f"--until: 'now' is not a time: {MOMENT}"),
        ((*LETTERS, "list", "--reason", "\udcff"), f"--reason: '\\udcff' is not valid: {CODE}"),
        ((*LETTERS, "list", "--batch", ""), f"--batch: '' is not valid: {CODE}"),
        ((*LETTERS, "show"), "Missing argument 'ID'."),
        (
            (*LETTERS, "show", "22", "--json", "--event"),
            "--json cannot be combined with --event, which prints JSON as well",
        ),
        ((*LETTERS, "replay"), WHICH),
        ((*LETTERS, "replay", "22", "--all"), WHICH),
        ((*LETTERS, "replay", "--reason", "rejected", "--all"), WHICH),
        ((*LETTERS, "replay", "22", "23", "--event", "-"), ONE),
        ((*LETTERS, "replay", "--all", "--event", "-"), ONE),
        (
            (*LETTERS, "replay", "22", "--event", "missing.json"),
            "missing.json: cannot be read (No such file or directory); nothing was sent",
        ),
        ((*LETTERS, "purge"), "Missing option '--older-than'."),
        ((*LETTERS, "purge", "--older-than", "30"), f"--older-than: '30' is not a time: {MOMENT}"),
        ((*LETTERS, "purge", "--older-than", "1d", "--reason", "a b"), f"--reason: 'a b' is not valid: {CODE}"),
        (("status",), UNSET.format("DATABASE_URL", "postgresql")),
        (("migrate",), UNSET.format("DATABASE_URL", "postgresql")),
        (("communities", "list"), UNSET.format("DATABASE_URL", "postgresql")),
        (SHOW, UNSET.format("DATABASE_URL", "postgresql")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_participation__refuses_a_wrong_call_in_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    """What is wrong with a call is said in one line, before any server is asked, and the exit code is 2."""
    assert refusal(run(*words)) == said


def test_show__refuses_a_format_that_there_is_not(run: Run) -> None:
    """The formats that there are are named."""
    said = refusal(run(*SHOW, "--format", "xml"))
    assert said.startswith("Invalid value for '--format': ")
    assert said.endswith("'xml' is not one of 'text', 'json'.")


def test_status__without_redis_url_says_so(run: Run, nobody: int) -> None:
    """Each of the two servers is named when it alone is missing."""
    said = refusal(run("status", DATABASE_URL=f"postgresql://u:p@127.0.0.1:{nobody}/x"))
    assert said == UNSET.format("REDIS_URL", "redis")


@pytest.mark.parametrize(
    "words",
    [
        ("migrate",),
        ("communities", "list"),
        ("members", "unlink", "irc:ada"),
        SHOW,
        COMPUTE,
        ("import", "events", "-"),
        (*LETTERS, "list"),
        (*LETTERS, "show", "22"),
        (*LETTERS, "replay", "--all"),
        (*LETTERS, "purge", "--older-than", "30d"),
    ],
    ids=" ".join,
)
def test_participation__names_a_postgresql_that_is_not_there(run: Run, nobody: int, words: tuple[str, ...]) -> None:
    """A database that does not answer is an error of one line that says what to look at, without the password."""
    servers = {
        "DATABASE_URL": f"postgresql://u:s3cret@127.0.0.1:{nobody}/x",
        "REDIS_URL": f"redis://127.0.0.1:{nobody}/0",
    }
    said = refusal(run(*words, **servers))
    assert said.startswith("PostgreSQL: ")
    assert f"port {nobody} failed: Connection refused" in said
    assert said.endswith("is it running, and is DATABASE_URL right?")
    assert "s3cret" not in said


def test_status__names_a_redis_that_is_not_there(run: Run, nobody: int) -> None:
    """A Redis that does not answer is an error of one line that says what to look at, without the password."""
    servers = {
        "DATABASE_URL": f"postgresql://u:p@127.0.0.1:{nobody}/x",
        "REDIS_URL": f"redis://:s3cret@127.0.0.1:{nobody}/0",
    }
    said = refusal(run("status", **servers))
    assert said.startswith("Redis: ")
    assert f"127.0.0.1:{nobody}" in said
    assert "is it running, and is REDIS_URL right?" in said
    assert "s3cret" not in said


RIGHT = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "more"), ["Got unexpected extra argument(s) (more)", "Got unexpected extra argument (more)"]),
        (
            (*LETTERS, "list", "--limit", "0"),
            [
                "Invalid value for '--limit': Input should be greater than or equal to 1",
                "Invalid value for '--limit': 0 is not in the range x>=1.",
            ],
        ),
        (
            (*LETTERS, "show", "x"),
            [
                "Invalid value for 'ID': Input should be a valid integer, unable to parse string as an integer",
                "Invalid value for 'ID': 'x' is not a valid integer.",
            ],
        ),
    ],
)
def test_participation__refuses_a_wrong_value_in_the_words_of_typer(
    run: Run, words: tuple[str, ...], said: list[str]
) -> None:
    """Typer's newest version and the lowest one say the same in different words, in one line, with exit code 2."""
    assert refusal(run(*words)) in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://u:s3cret@h/x"),
        ("DATABASE_URL", "postgresql://u:s3cret@h:port/x"),
        ("DATABASE_URL", "postgresql://u:s3cret@127.0.0.1:1/x?nonsense=1"),
        ("REDIS_URL", "http://:s3cret@h"),
        ("REDIS_URL", "redis://:s3cret@h:port/0"),
        ("REDIS_URL", "redis://:s3cret@127.0.0.1:1/0?nonsense=1"),
        ("REDIS_URL", "redis://:s3cret@127.0.0.1:1/0?socket_timeout=soon"),
        ("PARTICIPATION_BATCH_SIZE", "many"),
        ("PARTICIPATION_PUBLISH_TIMEOUT_SECONDS", "0"),
    ],
)
def test_participation__names_a_setting_that_is_wrong(run: Run, name: str, value: str) -> None:
    """A wrong setting is named, from the environment as from `.env`, and a URL's password is not shown."""
    words = ["status"] if name != "DATABASE_URL" else ["communities", "list"]
    said = refusal(run(*words, **(RIGHT | {name: value})))
    assert name in said
    assert "s3cret" not in said
    Path(".env").write_text(f"{name}={value}\n")
    assert refusal(run(*words, **{other: url for other, url in RIGHT.items() if other != name})) == said


def test_participation__names_an_env_that_is_no_text(run: Run) -> None:
    """A `.env` in another encoding is named, too."""
    Path(".env").write_bytes(b"REDIS_URL=redis://:caf\xe9@h\n")
    assert ".env: cannot be read (" in refusal(run("status"))


# ---- a process of its own: nothing that Python prints on its own account comes on top ----


def test_process__ends_well_after_help(tmp_path: Path) -> None:
    """Help goes to standard output and nothing to standard error."""
    code, out, err = run_apart(tmp_path, "import", "events", "--help")
    assert (code, err) == (0, "")
    assert "Example: participation import events" in out


def test_bot__without_a_token(run: Run) -> None:
    """Where the token belongs and where it comes from is said in one line."""
    code, out, err = run("bot", "discord")
    assert (code, out) == (2, "")
    assert err.startswith("error: PARTICIPATION_DISCORD_TOKEN is not set: put the bot's token into the environment")


def test_bot__without_its_library(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said in one line."""
    for name in [name for name in sys.modules if name.startswith(("discord", "participation.bots.discord"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "discord", None)
    assert run("bot", "discord") == (
        2,
        "",
        "error: the module discord is not installed: install community-participation[discord], "
        "as docs/install.md says\n",
    )


def test_process__refuses_a_wrong_call(tmp_path: Path) -> None:
    """A command that there is not ends the process with code 2 and one line."""
    assert refusal(run_apart(tmp_path, "nonsense")) == "No such command 'nonsense'."


def test_process__refuses_to_go_on_without_settings(tmp_path: Path) -> None:
    """Without servers the process ends with code 2 and one line."""
    assert refusal(run_apart(tmp_path, "status")) == UNSET.format("DATABASE_URL", "postgresql")


@pytest.mark.parametrize(("words", "server"), [("status", "Redis"), ("migrate", "PostgreSQL")])
def test_process__refuses_servers_that_are_not_there(tmp_path: Path, nobody: int, words: str, server: str) -> None:
    """With servers that do not answer, found in `.env`, the process ends with code 2 and one line."""
    (tmp_path / ".env").write_text(
        f"DATABASE_URL=postgresql://u:p@127.0.0.1:{nobody}/x\nREDIS_URL=redis://127.0.0.1:{nobody}/0\n"
    )
    assert refusal(run_apart(tmp_path, words)).startswith(f"{server}: ")
