"""`participation communities …` and `participation members …`."""

from itertools import groupby
from operator import attrgetter
from typing import Annotated

import typer

from participation import event, settings
from participation.cli import context, printing, privacy
from participation.errors import ConfigError
from participation.store import communities as stored_communities
from participation.store import members as stored_members
from participation.store import opt_outs, presence
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
    event.check(community_id=community)
    with context.database() as engine, transaction(engine) as connection:
        changed = stored_communities.configure(connection, community, timezone, name)
    typer.echo(f"{community}: saved" + ("; all its days are due to be computed again" if changed else ""))


@communities.command("list", epilog="Example: participation communities list")
def list_() -> None:
    """List the communities, their zones, how far they are computed, and what will be deleted: see `docs/privacy.md`."""
    with context.database() as engine, transaction(engine) as connection:
        rows = stored_communities.overview(connection)
        removals = presence.removals(connection, settings.load().deletion_grace_days)
    titles = ["community", "name", "time zone", "days computed", "last day", *["deletion (UTC)"] * bool(removals)]
    going = {
        community: ", ".join(f"{each.platform} {each.due_at:%Y-%m-%d}" for each in group)
        for community, group in groupby(removals, key=attrgetter("community_id"))
    }
    cells = [
        [r.community_id, r.name or "", r.timezone, str(r.days), str(r.last_date or ""), going.get(r.community_id, "")]
        for r in rows
    ]
    for line in printing.table(titles, [row[: len(titles)] for row in cells]):
        typer.echo(line)


@members.command("link", epilog="Example: participation members link ada discord:80351110224678912 irc:ada")
def link(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="The name under which the accounts count as one.")],
    accounts: Accounts,
) -> None:
    """Count several accounts as one person. The days on which they were seen become due."""
    if not person.isprintable() or not person.strip():
        raise ConfigError(f"{person!r} is no name of a person: write at least one letter or digit")
    chosen = _accounts(accounts)
    with context.database() as engine, transaction(engine) as connection:
        if opt_outs.are_out(connection, chosen):
            raise ConfigError("an account has opted out, so nothing may be kept of it: leave it out, or see opt-in")
        changed = stored_members.link(connection, person, chosen)
    typer.echo(f"{person}: {changed} account(s) linked, {len(accounts) - changed} were already")


@members.command("unlink", epilog="Example: participation members unlink irc:ada")
def unlink(accounts: Accounts) -> None:
    """Count accounts by themselves again. The days on which they were seen become due."""
    with context.database() as engine, transaction(engine) as connection:
        changed = stored_members.unlink(connection, _accounts(accounts))
    typer.echo(f"{changed} account(s) unlinked, {len(accounts) - changed} were not linked")


members.command("forget", epilog="Example: participation members forget discord:80351110224678912")(privacy.forget)
members.command("export", epilog="Example: participation members export irc:ada --output ada.ndjson")(privacy.export)
members.command("opt-out", epilog="Example: participation members opt-out irc:ada")(privacy.opt_out)
members.command("opt-in", epilog="Example: participation members opt-in irc:ada")(privacy.opt_in)


def _accounts(texts: list[str]) -> list[Account]:
    for text in texts:
        platform, colon, account_id = text.partition(":")
        if not colon:
            raise ConfigError(f"{text!r} is no account: write PLATFORM:ACCOUNT, as discord:123456789")
        event.check(platform=platform, member_id=account_id)
    return [Account(*text.split(":", 1)) for text in texts]
