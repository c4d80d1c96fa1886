"""The code blocks of the documentation: what they are, and how each language is tried.

A block is fenced, and the first word behind the fence is its language. Behind that may stand `not-run: REASON`, or
`exit-code=N` if its last command ends with N. A block in a list item is indented as the item is.
"""

import configparser
import json
import re
import signal
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import yaml
from sqlalchemy import Engine

from participation import event, keys, message
from participation.local.processes import kill, spawn, wait_until
from participation.notices import names, presence
from tests.worker import SECONDS

ROOT: Final = Path(__file__).parents[1]

PAGES: Final = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

LANGUAGES: Final = ("console", "ini", "js", "json", "python", "sh", "sql", "text", "toml", "yaml")

RUN_BY_SYSTEM_TESTS: Final = "make test-system runs it"
"""The reason of a block that only `tests/system` can run."""

FENCE: Final = re.compile(r"(?P<indent> *)(?P<marks>`{3,}|~{3,})(?P<info>[^`]*)")
INFO: Final = re.compile(r"(?P<language>\S+)(?: not-run: (?P<reason>\S.*)| exit-code=(?P<code>\d+))?")
ITEM: Final = re.compile(r"(?:[-*+]|\d+[.)]) ")

STATUS: Final = "echo $?"

MARK: Final = "-- line "

STEP: Final = f"""
echo '{MARK}{{number}}'
{{command}}
_code=$?
[ $_code = {{expected}} ] || {{{{ echo "ended with code $_code, not {{expected}}"; exit 99; }}}}
"""
"""A command of a console block, in Bash."""

TRY: Final = """
import ast, asyncio, sys
from inspect import CO_COROUTINE
exec(compile(sys.argv[1], "what the page presumes", "exec"))
with open(sys.argv[3]) as _file:
    _code = compile(_file.read(), sys.argv[2], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
if _code.co_flags & CO_COROUTINE:
    asyncio.run(eval(_code))
else:
    exec(_code)
"""
"""Runs a block behind what its page presumes. `await` may stand alone, as in `python -m asyncio`."""


@dataclass(frozen=True)
class Block:
    """A fenced block. line: where its text begins, counted from 1. reason: why it is not run."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    exit_code: int = 0


class Broken(AssertionError):
    """Something in the documentation that is not as it says."""

    def __init__(self, page: str, line: int, problem: str) -> None:
        super().__init__(f"{page}:{line}: {problem}")


@dataclass(frozen=True)
class Place:
    """Where the blocks of a page are tried: a folder, a database, an environment, and names that its Python has."""

    folder: Path
    engine: Engine
    environment: Mapping[str, str]
    presumed: str = ""


# ---- reading ----


def read(page: str, text: str) -> list[Block]:
    """Return the blocks of a page. Raises `Broken` for one that does not say what it is."""
    lines = enumerate(text.splitlines(), 1)
    blocks: list[Block] = []
    before, is_item = "", False
    for number, line in lines:
        if fence := FENCE.fullmatch(line):
            blocks.append(_block(page, number, fence, lines))
        elif line.startswith(("    ", "\t")) and not before and not is_item:
            raise Broken(page, number, "an indented block has no language: put it between fences")
        elif line and not line.startswith(" "):
            is_item = ITEM.match(line) is not None
        before = line
    return blocks


def _block(page: str, number: int, fence: re.Match[str], lines: Iterator[tuple[int, str]]) -> Block:
    """Read a block from its fence on; `lines` are those behind it."""
    info = INFO.fullmatch(fence["info"].strip())
    if info is None:
        raise Broken(page, number, "write LANGUAGE, LANGUAGE not-run: REASON or LANGUAGE exit-code=N behind the fence")
    if info["language"] not in LANGUAGES:
        raise Broken(page, number, f"{info['language']} is none of {', '.join(LANGUAGES)}")
    if info["language"] == "js" and info["reason"] is None:
        raise Broken(page, number, "nothing here runs JavaScript: write js not-run: REASON")
    if info["code"] and info["language"] not in ("sh", "console"):
        raise Broken(page, number, "only sh and console have an exit code")
    text: list[str] = []
    for _, line in lines:
        if line.strip() == fence["marks"]:
            body = "".join(f"{each}\n" for each in text)
            return Block(page, number + 1, info["language"], body, info["reason"], int(info["code"] or 0))
        text.append(line.removeprefix(fence["indent"]))
    raise Broken(page, number, "the block has no end")


def commands(block: Block) -> Iterator[tuple[int, str]]:
    """Yield each command of a console block, and its line. A command that ends with a backslash goes on."""
    lines = enumerate(block.text.splitlines(), block.line)
    for number, line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command = f"{command}\n{next(lines)[1]}"
            yield number, command


# ---- trying ----


def attempt(block: Block, place: Place) -> None:
    """Do what the block says. Raises `Broken` if it is not as the page says."""
    if block.reason is None:
        try:
            _ATTEMPTS[block.language](block, place)
        except Broken:
            raise
        except Exception as error:
            raise Broken(block.page, block.line, f"{type(error).__name__}: {error}") from error


def _text(_block: Block, _place: Place) -> None:
    """Nothing of a drawing or of an output can be tried."""


def _console(block: Block, place: Place) -> None:
    """Run the commands as one session; what they print is not compared, but for `echo $?`."""
    given = list(commands(block))
    if not given:
        raise Broken(block.page, block.line, "a console block has commands, which begin with `$ `")
    last = max(number for number, command in given if command != STATUS)
    script = ""
    for number, command in given:
        if command == STATUS:
            shown = block.text.splitlines()[number - block.line + 1]
            if shown != str(block.exit_code):
                raise Broken(block.page, number, f"it shows {shown}: write exit-code={shown} behind the fence")
        else:
            script += STEP.format(number=number, command=command, expected=block.exit_code if number == last else 0)
    code, said = _run(block, place, ["bash", "-c", script])
    if code:
        *_, step = said.split(MARK)
        number_, _, output = step.partition("\n")
        raise Broken(block.page, int(number_), f"`{dict(given)[int(number_)]}` {output}")


def _sh(block: Block, place: Place) -> None:
    # With each line that is run in its output: the last one is what failed.
    code, said = _run(block, place, ["bash", "-euxc", block.text])
    if code != block.exit_code:
        raise Broken(block.page, block.line, f"ended with code {code}, not {block.exit_code}:\n{said}")


def _python(block: Block, place: Place) -> None:
    program, source = place.folder / ".try.py", place.folder / ".block.py"
    program.write_text(TRY)
    source.write_text("\n" * (block.line - 1) + block.text)  # so that a traceback has the page's lines
    code, said = _run(block, place, ["run-block", program, place.presumed, block.page, source])
    if code:
        raise Broken(block.page, block.line, f"ended with code {code}:\n{said}")


def _run(block: Block, place: Place, command: list[str | Path]) -> tuple[int, str]:
    """Run a program to its end; return its exit code and all that it says."""
    with TemporaryFile() as said:  # a pipe would be waited for as long as anybody holds it open
        options = {"cwd": place.folder, "env": place.environment, "stdout": said, "stderr": said}
        process = spawn(command, signal.SIGKILL, **options)
        ended = wait_until(lambda: process.poll() is not None, SECONDS)
        kill(process)
        said.seek(0)
        output = said.read().decode(errors="replace")
    if not ended:
        raise Broken(block.page, block.line, f"did not end in {SECONDS:g} s:\n{output}")
    return process.returncode, output


def _json(block: Block, _place: Place) -> None:
    value = json.loads(block.text)
    if isinstance(value, dict) and "body" in value:
        decoded = message.decode(block.text.encode())
        _check_argument(decoded.task, decoded.argument)
    elif isinstance(value, dict) and "event_type" in value:
        event.decode(value)


def _check_argument(task: str, argument: Any) -> None:
    """Decode the argument of a task. Raises `InvalidEvent`."""
    match task:
        case keys.NOTE_NAMES:
            for name in names.decode_list(argument):
                names.decode(name)
        case keys.NOTE_PRESENCE:
            presence.decode(argument)
        case _:
            event.decode(argument)


def _sql(block: Block, place: Place) -> None:
    with place.engine.connect() as connection:
        connection.exec_driver_sql(block.text)
        connection.rollback()


def _ini(block: Block, _place: Place) -> None:
    # Twice the same section, for two files, and options as systemd and Redis write them.
    configparser.ConfigParser(strict=False, interpolation=None).read_string(block.text)


def _parse(parser: Callable[[str], Any], block: Block, _place: Place) -> None:
    parser(block.text)


_ATTEMPTS: Final[Mapping[str, Callable[[Block, Place], None]]] = {
    "console": _console,
    "ini": _ini,
    "json": _json,
    "python": _python,
    "sh": _sh,
    "sql": _sql,
    "text": _text,
    "toml": partial(_parse, tomllib.loads),
    "yaml": partial(_parse, yaml.safe_load),
}
