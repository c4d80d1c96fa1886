"""`participation import …`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from participation import imports
from participation.cli import context
from participation.cli.progress import Bars
from participation.imports import Import
from participation.store import migrate

app = typer.Typer()


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
        with Bars(size) as bars:
            state = Import(redis, lambda now: bars.published(now.bytes_read, now.accepted))
            imports.send_files(
                state,
                files,
                sys.stdin.buffer,
                lambda line, reason: bars.say(f"{line.file}:{line.number}: {reason}"),
            )
            tally = bars.wait(engine, state.import_id, state.accepted)
    typer.echo(
        f"accepted {state.accepted:,}   stored {tally.stored:,}   duplicates {tally.duplicates:,}   dead {tally.dead:,}"
    )
    if tally.opted_out:
        typer.echo(f"{tally.opted_out:,} event(s) are of members who opted out and were not kept", err=True)
    if state.refused:
        typer.echo(f"{state.refused:,} line(s) were no events and were not sent; see above", err=True)
    if tally.dead:
        typer.echo(f"{tally.dead:,} event(s) stand in dead_letters with the reason", err=True)
    raise typer.Exit(1 if state.refused or tally.dead else 0)
