"""`participation communities …`."""

from itertools import groupby
from operator import attrgetter
from typing import Annotated

import typer

from participation import settings
from participation.cli import arguments, connections, output
from participation.cli.group import command_group
from participation.errors import ConfigError
from participation.store.communities import presence
from participation.store.communities import settings as communities
from participation.store.database import transaction

app = command_group()


@app.command(
    "set",
    epilog="Example: participation communities set harbour --timezone Europe/Berlin --name 'The Harbour'",
)
def set_(
    community: Annotated[str, typer.Argument(metavar="ID", help="The community_id that its bots send.")],
    timezone: Annotated[str | None, typer.Option(help="IANA name of its time zone, for example Europe/Berlin.")] = None,
    name: Annotated[str | None, typer.Option(help="Name that people see, at most 255 characters.")] = None,
) -> None:
    """Set the time zone or the name of a community. If the time zone changes, all its days are computed again."""
    from participation import event

    if timezone is None and name is None:
        raise ConfigError("nothing to set: give --timezone or --name")
    event.check(community_id=community)
    if name is not None:
        arguments.parse_name("--name", name)
    with connections.database() as engine, transaction(engine) as connection:
        changed = communities.configure(connection, community, timezone, name)
    typer.echo(f"{community}: saved" + ("; all its days will be computed again" if changed else ""))


@app.command("list", epilog="Example: participation communities list")
def list_() -> None:
    """List the communities with their time zones, their computed days, and planned deletions (see docs/privacy.md)."""
    with connections.database() as engine, transaction(engine) as connection:
        rows = communities.list_communities(connection)
        removals = presence.pending_removals(connection, settings.load().deletion_grace_days)
    titles = ["community", "name", "time zone", "days computed", "last day", *["deletion (UTC)"] * bool(removals)]
    deletions = {
        community: ", ".join(f"{each.platform} {each.due_at:%Y-%m-%d}" for each in group)
        for community, group in groupby(removals, key=attrgetter("community_id"))
    }
    cells = [
        [
            r.community_id,
            r.name or "",
            r.timezone,
            str(r.days),
            str(r.last_date or ""),
            deletions.get(r.community_id, ""),
        ]
        for r in rows
    ]
    for line in output.table(titles, [row[: len(titles)] for row in cells]):
        typer.echo(line)
