"""`participation communities …` and `participation members …`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from participation.cli import context
from participation.errors import ConfigError
from participation.store import communities as stored_communities
from participation.store import members as stored_members
from participation.store.database import transaction
from participation.store.members import Account

communities = typer.Typer()
members = typer.Typer()

Accounts = Annotated[list[str], typer.Argument(metavar="PLATFORM:ACCOUNT…", help="Accounts, as discord:123456789.")]


@communities.command(
    "set",
    epilog="Example: participation communities set harbour --timezone Europe/Berlin --name 'The Harbour'",
)
def set_(
    community: Annotated[str, typer.Argument(metavar="ID", help="The community_id that its bots send.")],
    timezone: Annotated[str | None, typer.Option(help="IANA name of the zone in which its days are counted.")] = None,
    name: Annotated[str | None, typer.Option(help="Name to show to people.")] = None,
) -> None:
    """Set a community's time zone or name. Another zone makes all its days due to be computed again."""
    if timezone is None and name is None:
        raise ConfigError("nothing to set: give --timezone or --name")
    with context.database() as engine, transaction(engine) as connection:
        changed = stored_communities.configure(connection, community, timezone, name)
    typer.echo(f"{community}: saved" + ("; all its days are due to be computed again" if changed else ""))


@communities.command("list", epilog="Example: participation communities list")
def list_() -> None:
    """List the communities, their zones, and how far they are computed."""
    with context.database() as engine, transaction(engine) as connection:
        rows = stored_communities.overview(connection)
    table = Table("community", "name", "time zone", "days computed", "last day", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.community_id, row.name or "", row.timezone, str(row.days), str(row.last_date or ""))
    Console().print(table)


@members.command("link", epilog="Example: participation members link ada discord:80351110224678912 irc:ada")
def link(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="The name under which the accounts count as one.")],
    accounts: Accounts,
) -> None:
    """Count several accounts as one person. The days on which they were seen become due."""
    with context.database() as engine, transaction(engine) as connection:
        changed = stored_members.link(connection, person, _accounts(accounts))
    typer.echo(f"{person}: {changed} account(s) linked, {len(accounts) - changed} were already")


@members.command("unlink", epilog="Example: participation members unlink irc:ada")
def unlink(accounts: Accounts) -> None:
    """Count accounts by themselves again. The days on which they were seen become due."""
    with context.database() as engine, transaction(engine) as connection:
        changed = stored_members.unlink(connection, _accounts(accounts))
    typer.echo(f"{changed} account(s) unlinked, {len(accounts) - changed} were not linked")


def _accounts(texts: list[str]) -> list[Account]:
    accounts = [Account(*text.split(":", 1)) for text in texts if all(text.partition(":"))]
    if len(accounts) < len(texts):
        wrong = next(text for text in texts if not all(text.partition(":")))
        raise ConfigError(f"{wrong!r} is no account: write PLATFORM:ACCOUNT, as discord:123456789")
    return accounts
