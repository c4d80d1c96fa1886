"""`participation import …`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from participation.cli import connections
from participation.cli.group import command_group
from participation.cli.progress import Bars, explain_discarded
from participation.imports import ndjson
from participation.imports.sender import Import
from participation.store.ingest.import_counts import ImportCounts
from participation.store.schema import migrate

app = command_group()


@app.callback()
def group() -> None:
    """Import history from files."""


@app.command("events", epilog="Example: participation import events history.ndjson.gz")
def events(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="NDJSON files, plain or .gz. Use - for standard input.")
    ],
) -> None:
    """Send the events of NDJSON files through the queue and the workers, and wait until they are stored.

    If a line is not an event, the command prints it with the reason on standard error, imports the rest, and exits with
    code 1. Repeating the command is safe: events that are stored already count as duplicates.
    """
    size = ndjson.check_files(files)
    with connections.database() as engine, connections.redis() as redis:
        migrate.check(engine)
        with Bars(size) as bars:
            state = Import(redis, lambda now: bars.published(now.bytes_read, now.accepted))
            ndjson.send_files(
                state,
                files,
                sys.stdin.buffer,
                lambda line, reason: bars.say(f"{line.file}:{line.number}: {reason}"),
            )
            counts = bars.wait(engine, state.import_id, state.accepted)
    _print(state, counts)
    raise typer.Exit(1 if state.refused or counts.dead else 0)


def _print(state: Import, counts: ImportCounts) -> None:
    typer.echo(
        f"accepted {state.accepted:,}   stored {counts.stored:,}   duplicates {counts.duplicates:,}   "
        f"dead {counts.dead:,}"
    )
    explain_discarded(counts)
    if state.refused:
        typer.echo(f"{state.refused:,} line(s) are not events and were not sent; see above", err=True)
    if counts.dead:
        typer.echo(
            f"{counts.dead:,} event(s) became dead letters: list them with `participation dead-letters list`", err=True
        )
