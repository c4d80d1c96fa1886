"""`participation dead-letters purge`."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console
from sqlalchemy import Engine

from participation.cli import arguments, connections
from participation.cli.dead_letters.options import MOMENT, Reason, format_moment
from participation.store import dead_letters
from participation.store.database import transaction
from participation.store.dead_letters import Choice

PURGED: Final = 2_000
"""How many letters one transaction deletes."""


def purge(
    older_than: Annotated[str, typer.Option(metavar="TIME", help=f"Only letters received before this time: {MOMENT}.")],
    reason: Reason = None,
    replayed: Annotated[bool, typer.Option("--replayed", help="Only letters that were sent again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the letters.")] = False,
) -> None:
    """Delete old dead letters with their messages. This cannot be undone.

    Letters that were not sent again are deleted too, unless --replayed is given.
    """
    before = arguments.parse_moment("--older-than", older_than, datetime.now(UTC))
    choice = Choice(reason=arguments.parse_word("--reason", reason), until=before, replayed=True if replayed else None)
    with connections.database() as engine:
        if dry_run:
            with transaction(engine) as connection:
                letters = dead_letters.scope(connection, choice).letters
            typer.echo(f"{letters:,} dead letter(s) received before {format_moment(before)} UTC would be deleted")
        else:
            deleted = _purge(engine, choice)
            typer.echo(f"{deleted:,} dead letter(s) received before {format_moment(before)} UTC deleted")


def _purge(engine: Engine, choice: Choice) -> int:
    deleted, full = 0, True
    with Console(stderr=True).status("deleting") as status:
        while full:
            with transaction(engine) as connection:
                count = dead_letters.purge(connection, choice, PURGED)
            deleted, full = deleted + count, count == PURGED
            status.update(f"{deleted:,} deleted")
    return deleted
