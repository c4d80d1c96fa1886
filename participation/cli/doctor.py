"""`participation doctor`."""

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from participation import settings
from participation.cli import output
from participation.cli.group import command_group
from participation.operations.doctor.finding import Finding, Level, Report

app = command_group()

COLOURS: Final = {Level.OK: "green", Level.NOTE: "cyan", Level.WARN: "yellow", Level.FAIL: "bold red"}
NAME_WIDTH: Final = 20
WIDEST: Final = 110
"""Maximum length of a line. Longer lines are hard to read."""


@app.command(epilog="Example: participation doctor --json")
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Check the settings of Redis, PostgreSQL and the workers, and print what to change.

    Exit code 0: the full promise of docs/reliability.md holds. 1: a weaker promise holds, or there is a warning. 2:
    events are not accepted, are not stored, or can be lost unnoticed. It changes no setting, no table and no event.
    """
    from participation.operations.doctor.examine import examine

    report = examine(settings.load())
    if as_json:
        typer.echo(_as_json(report))
    else:
        width = min(shutil.get_terminal_size().columns, WIDEST)
        Console(soft_wrap=True, highlight=False, emoji=False).print(_as_text(report, width), end="")
    raise typer.Exit(report.exit_code)


def _as_json(report: Report) -> str:
    checks = [{"group": group, **asdict(each)} for group, findings in report.groups.items() for each in findings]
    whole = {"promise": report.promise, "verdict": report.verdict, "exit_code": report.exit_code, "checks": checks}
    return output.as_json(whole)


def _as_text(report: Report, width: int) -> Text:
    text = Text()
    for group, findings in report.groups.items():
        text.append(f"{group}\n", "bold")
        for finding in findings:
            text.append(f"  {finding.level:<6}", COLOURS[finding.level])
            text.append("".join(f"{line}\n" for line in _lines(finding, width)))
        text.append("\n")
    verdict = textwrap.wrap(report.verdict, width, break_long_words=False, break_on_hyphens=False)
    return text.append("".join(f"{line}\n" for line in verdict), "bold")


def _lines(finding: Finding, width: int) -> Iterator[str]:
    """Yield the lines of a finding. The first starts after the level, which is printed in colour."""
    level, indent = " " * 8, " " * (8 + NAME_WIDTH)
    first = f"{level}{finding.name:<{NAME_WIDTH - 1}} "
    parts = [
        (first, output.escape(finding.found)),
        (indent, finding.meaning),
        (f"{indent}→ ", output.escape(finding.cure)),
    ]
    for begin, part in parts:
        rest = " " * len(begin) if begin.endswith("→ ") else indent
        lines = textwrap.wrap(
            part, width, initial_indent=begin, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )
        yield from (line.removeprefix(level) if begin is first and line is lines[0] else line for line in lines)
