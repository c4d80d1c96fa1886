"""`participation import …`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from participation import imports
from participation.cli import context
from participation.imports import Import, Line
from participation.store import migrate
from participation.store.ledger import Tally

app = typer.Typer()

HINT_SECONDS = 15.0
"""How long nothing may change before the command says what may be the matter."""


@app.callback()
def group() -> None:
    """Bring in history from files."""


@app.command("events", epilog="Example: participation import events history.ndjson.gz")
def events(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="NDJSON, plain or .gz; - is standard input.")],
) -> None:
    """Send the events of NDJSON files through the queue and the workers, and wait until they are stored.

    A line that is no event is named on standard error with its reason and does not stop the rest; the exit code is 1
    then. A repeat is safe: what is stored already counts as a duplicate.
    """
    size = imports.check(files)
    with context.database() as engine, context.queue() as redis:
        migrate.check(engine)
        with _Bars(size) as bars:
            state = Import(redis, bars.published)
            imports.send_files(state, files, sys.stdin.buffer, bars.refused)
            tally = _wait(engine, state, bars)
    typer.echo(
        f"accepted {state.accepted:,}   stored {tally.stored:,}   duplicates {tally.duplicates:,}   dead {tally.dead:,}"
    )
    if state.refused:
        typer.echo(f"{state.refused:,} line(s) were no events and were not sent; see above", err=True)
    if tally.dead:
        typer.echo(f"{tally.dead:,} event(s) stand in dead_letters with the reason", err=True)
    raise typer.Exit(1 if state.refused or tally.dead else 0)


def _wait(engine: Engine, state: Import, bars: "_Bars") -> Tally:
    try:
        return imports.wait(engine, state, bars.stored)
    except KeyboardInterrupt:
        typer.echo(
            f"interrupted: the {state.accepted:,} accepted events are in the queue and will be stored by the workers",
            err=True,
        )
        raise


class _Bars:
    """Two progress bars on standard error, and the lines that are no events above them."""

    def __init__(self, size: int | None) -> None:
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[events]:>12,} events"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self.reading = self._bar("published", size)
        self.storing: TaskID | None = None
        self.accepted = 0
        self.hinted = False

    def _bar(self, description: str, total: int | None) -> TaskID:
        return self.progress.add_task(description, total=total, events=0)

    def __enter__(self) -> "_Bars":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def refused(self, line: Line, reason: str) -> None:
        self.console.print(f"{line.file}:{line.number}: {reason}", markup=False, highlight=False, soft_wrap=True)

    def published(self, state: Import) -> None:
        self.accepted = state.accepted
        self.progress.update(self.reading, completed=state.bytes_read, events=state.accepted)

    def stored(self, tally: Tally, unchanged_seconds: float) -> None:
        if self.storing is None:
            self.storing = self._bar("stored", self.accepted)
        self.progress.update(self.storing, completed=tally.done, events=tally.done)
        if unchanged_seconds > HINT_SECONDS and not self.hinted:
            self.hinted = True
            self.console.print(
                f"nothing was stored for {HINT_SECONDS:.0f} s: does a worker run (`participation status`)? Still "
                "waiting; Ctrl-C leaves the events in the queue.",
                soft_wrap=True,
            )
