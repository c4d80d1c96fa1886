"""`participation up`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from participation import extras, settings
from participation.cli.group import command_group

app = command_group()


@app.command(epilog="Example: participation up --data-dir ./data")
def up(
    data_dir: Annotated[
        Path, typer.Option(help="Folder for the data.", show_default="~/.local/share/participation")
    ] = settings.DATA_DIR,
) -> None:
    """Run everything on this machine: PostgreSQL, Valkey, worker, Beat and Flower, until Ctrl-C.

    If DATABASE_URL or REDIS_URL is set, that server is used instead of a new one.
    """
    from participation.local.up import up as run

    extras.require("local")
    raise typer.Exit(run(data_dir, sys.stdout))
