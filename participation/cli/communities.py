"""`participation communities …`."""

import sys
from collections.abc import Mapping
from itertools import compress, groupby
from operator import attrgetter
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import Engine

from participation import settings
from participation.cli import arguments, connections, output
from participation.cli.group import command_group
from participation.display_names import printable
from participation.errors import ConfigError
from participation.store import options
from participation.store.communities import deleted, grouping, options_change, presence, shown_names
from participation.store.communities import settings as communities
from participation.store.communities.options_change import Change
from participation.store.database import transaction
from participation.store.days import parts

app = command_group()

CHANNEL = "CHANNEL"


@app.command(
    "set",
    epilog="Example: participation communities set harbour --timezone Europe/Berlin --name 'The Harbour'",
)
def set_(  # noqa: PLR0913, PLR0917 - each is an option
    community: Annotated[str, typer.Argument(metavar="ID", help="The community_id that its bots send.")],
    timezone: Annotated[str | None, typer.Option(help="IANA name of its time zone, for example Europe/Berlin.")] = None,
    name: Annotated[str | None, typer.Option(help="Name that people see, at most 255 characters.")] = None,
    exclude_member: Annotated[list[str] | None, typer.Option(metavar="WHO", help="Do not count this person.")] = None,
    include_member: Annotated[list[str] | None, typer.Option(metavar="WHO", help="Count this person again.")] = None,
    exclude_channel: Annotated[list[str] | None, typer.Option(metavar=CHANNEL, help="Do not count it.")] = None,
    include_channel: Annotated[list[str] | None, typer.Option(metavar=CHANNEL, help="Count it again.")] = None,
    ignore_channel: Annotated[list[str] | None, typer.Option(metavar=CHANNEL, help="Store nothing of it.")] = None,
    keep_channel: Annotated[list[str] | None, typer.Option(metavar=CHANNEL, help="Store it again.")] = None,
    reputation: Annotated[str | None, typer.Option(metavar="RULE", help="off, 1, or a JSON object.")] = None,
    authors_from_messages: Annotated[
        bool | None, typer.Option(help="Take the author of a message with reactions from the stored message.")
    ] = None,
    voice_alone: Annotated[
        bool | None, typer.Option(help="Count voice time in which a member is alone or deafened.")
    ] = None,
) -> None:
    """Set options of a community. If this changes past days, all days are computed again.

    WHO is a person or PLATFORM:ACCOUNT, CHANNEL is PLATFORM:CHANNEL. These options may be given several times.
    """
    from participation import event

    lists = {
        "excluded_members": (exclude_member, include_member),
        "excluded_channels": (exclude_channel, include_channel),
        "ignored_channels": (ignore_channel, keep_channel),
    }
    flags = {"authors_from_messages": authors_from_messages, "voice_alone": voice_alone}
    wanted = _change(lists, reputation, flags)
    if timezone is None and name is None and wanted == Change():
        raise ConfigError("nothing to set: give an option, for example --timezone or --name")
    event.check(community_id=community)
    if name is not None:
        arguments.parse_name("--name", name)
    with connections.database() as engine, transaction(engine) as connection:
        changed = communities.configure(connection, community, timezone, name)
        changed |= options_change.change(connection, community, wanted)
    typer.echo(f"{community}: saved" + ("; all its days will be computed again" if changed else ""))


def _change(
    lists: Mapping[str, tuple[list[str] | None, list[str] | None]],
    reputation: str | None,
    flags: Mapping[str, bool | None],
) -> Change:
    values: dict[str, object] = {name: value for name, value in flags.items() if value is not None}
    if reputation is not None:
        values["reputation"] = "off" if reputation == "off" else arguments.parse_json("--reputation", reputation)
    add = {name: more for name, (more, _) in lists.items() if more}
    return Change(add, {name: less for name, (_, less) in lists.items() if less}, values)


@app.command("show", epilog="Example: participation communities show harbour --json")
def show(
    community: Annotated[str, typer.Argument(metavar="ID", help="The community.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Show all settings of a community."""
    with connections.database() as engine, transaction(engine) as connection:
        found = communities.get(connection, connections.resolve(connection, community))
        chosen = options.read(connection, found.community_id)
    settings = {
        "community_id": found.community_id,
        "name": found.name,
        "timezone": found.timezone,
        "parts": list(found.parts),
        **chosen.model_dump(mode="json"),
    }
    if as_json:
        typer.echo(output.as_json(settings))
        return
    for line in output.table(["setting", "value"], [[name, _shown(value)] for name, value in settings.items()]):
        typer.echo(line)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(output.escape, value))
    if value is None or isinstance(value, str):
        return output.escape(value or "")
    return output.as_json(value)


@app.command("list", epilog="Example: participation communities list")
def list_() -> None:
    """List the communities with their time zones, their computed days, and planned deletions (see docs/privacy.md)."""
    with connections.database() as engine, transaction(engine) as connection:
        rows = communities.list_communities(connection)
        names = shown_names.of_communities(connection, [row.community_id for row in rows])
        removals = presence.pending_removals(connection, settings.load().deletion_grace_days)
    titles = ["community", "name", "time zone", "days computed", "last day", "parts", "deletion (UTC)"]
    has = [True] * 5 + [any(row.parts for row in rows), bool(removals)]
    deletions = {
        community: ", ".join(f"{each.platform} {each.due_at:%Y-%m-%d}" for each in group)
        for community, group in groupby(removals, key=attrgetter("community_id"))
    }
    cells = [
        [
            r.community_id,
            printable(names.get(r.community_id, "")),
            r.timezone,
            str(r.days),
            str(r.last_date or ""),
            ", ".join(r.parts),
            ", ".join(deletions[each] for each in (r.community_id, *r.parts) if each in deletions),
        ]
        for r in rows
    ]
    shown = [list(compress(row, has)) for row in (titles, *cells)]
    for line in output.table(shown[0], shown[1:]):
        typer.echo(line)


@app.command("group", epilog="Example: participation communities group harbour discord:19703843 telegram:-4001")
def group(
    community: Annotated[str, typer.Argument(metavar="COMMUNITY", help="The community that counts them all.")],
    ids: Annotated[list[str], typer.Argument(metavar="PART…", help="The ids that become parts of it.")],
) -> None:
    """Count several communities as one, for example a Discord server and a Telegram group. Bots need no change.

    A new community takes the settings of the first part. All days are computed again. `ungroup` undoes it.
    """
    with connections.database() as engine, transaction(engine) as connection:
        replaced = grouping.group(connection, community, ids)
    for each in replaced:
        had = {"name": each.name, "time zone": each.timezone, **each.settings}
        listed = ", ".join(f"{name} {output.escape(str(value))}" for name, value in had.items() if value is not None)
        typer.echo(f"not in force any more: {output.escape(each.community_id)}: {listed}", err=True)
    typer.echo(f"{output.escape(community)}: {len(set(ids))} part(s); all its days will be computed again")


@app.command("ungroup", epilog="Example: participation communities ungroup telegram:-4001")
def ungroup(ids: Annotated[list[str], typer.Argument(metavar="PART…", help="Parts of a community.")]) -> None:
    """Count parts as communities of their own again. All days are computed again."""
    with connections.database() as engine, transaction(engine) as connection:
        found = grouping.ungroup(connection, ids)
    named = ", ".join(map(output.escape, found))
    typer.echo(f"{len(set(ids))} part(s) of {named} are communities of their own; all days will be computed again")


@app.command("delete", epilog="Example: participation communities delete harbour")
def delete(
    community: Annotated[str, typer.Argument(metavar="ID", help="The community. Its parts are deleted, too.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation. Without a terminal, the command never asks.")
    ] = False,
) -> None:
    """Delete all data of a community: events, highlights, names, settings, dead letters. This cannot be undone.

    What occurred before now is discarded from then on, also in queues, imports and replays. Later events create the
    community again. If the command is interrupted, run it again, or the workers finish within an hour.
    """
    with connections.database() as engine:
        _confirm_deletion(engine, community, yes=yes or not sys.stdin.isatty())
        with transaction(engine) as connection:
            ids = deleted.begin(connection, community)
        with Console(stderr=True).status("deleting the events") as status:
            events = deleted.finish(engine, lambda done, steps: status.update(f"step {done:,} of {steps:,}"))
    typer.echo(f"{', '.join(map(output.escape, ids))}: deleted, with {events:,} event(s)")


def _confirm_deletion(engine: Engine, community: str, *, yes: bool) -> None:
    with transaction(engine) as connection:
        ids = parts.parts_of(connection, community)
    if not yes:
        named = ", ".join(map(output.escape, ids))
        typer.confirm(f"Delete all data of {named} permanently?", abort=True, err=True)
