"""`participation highlights …`."""

from datetime import date
from enum import StrEnum
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import track
from sqlalchemy import Connection, Engine

from participation.cli import arguments, connections, output
from participation.cli.connections import resolve
from participation.cli.group import command_group
from participation.errors import ConfigError
from participation.highlights.compute import compute_day
from participation.highlights.digest import read_digest
from participation.highlights.renderers.json import render_json
from participation.highlights.renderers.text import render_text
from participation.highlights.summary import summarize
from participation.store.database import transaction
from participation.store.days import digests, due
from participation.store.days.due import Day

app = command_group()

Community = Annotated[str, typer.Option("--community", help="The community_id.")]
OneDate = Annotated[str | None, typer.Option("--date", metavar="DATE", help="One local day, for example 2026-03-29.")]
First = Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day of a range of local days.")]
Last = Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last day of a range of local days.")]


class Format(StrEnum):
    """The output formats of `show`."""

    TEXT = "text"
    JSON = "json"


@app.command(
    "compute",
    epilog="Example: participation highlights compute --community harbour --from 2026-03-01 --to 2026-03-31",
)
def compute(
    community: Annotated[
        str | None, typer.Option("--community", help="The community_id. Default: all communities.")
    ] = None,
    on: OneDate = None,
    first: First = None,
    last: Last = None,
) -> None:
    """Compute local days now.

    Without dates: all days that are due. With dates: the days that have events or were computed before.
    """
    span = _span(on, first, last)
    if span is not None and community is None:
        raise ConfigError(
            "--community is missing: --date, --from and --to need it, because dates are local to a community"
        )
    with connections.database() as engine:
        days = _days(engine, community, span)
        for day in track(days, description="computing days", console=Console(stderr=True), transient=True):
            with transaction(engine) as connection:
                compute_day(connection, day.community_id, day.highlight_date)
    typer.echo(f"{len(days)} day(s) computed")


@app.command("show", epilog="Example: participation highlights show --community harbour --date 2026-03-29")
def show(
    community: Community,
    on: OneDate = None,
    first: First = None,
    last: Last = None,
    as_: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TEXT,
) -> None:
    """Show computed local days. Without dates: the last one that has ended.

    In JSON, a day is an object, and a range is an array.
    """
    span = _span(on, first, last)
    with connections.database() as engine, transaction(engine) as connection:
        community = resolve(connection, community)
        days = _shown(connection, community, span, is_range=first is not None)
        read = [read_digest(connection, community, day) for day in days]
    if as_ is Format.TEXT:
        typer.echo("\n\n".join(render_text(summarize(each)) for each in read))
    else:
        written = render_json(read[0] if first is None else read)
        typer.echo(output.as_json(orjson.loads(written), indent=2))


def _shown(connection: Connection, community: str, span: tuple[date, date] | None, *, is_range: bool) -> list[date]:
    """Return the days to show. Raises `ConfigError` if there is nothing to show before a day is computed."""
    compute = "run `participation highlights compute"
    if span is None:
        last = digests.last_ended_day(connection, community)
        if last is None:
            raise ConfigError(f"no day of {community!r} that has ended is computed yet: {compute}`, or give --date")
        return [last]
    days = digests.computed_days(connection, community, *span)
    if days:
        return days
    if is_range:
        raise ConfigError(f"no day of {community!r} is computed in this range yet: {compute}`")
    if due.is_due(connection, community, span[0]):
        raise ConfigError(
            f"{span[0]} of {community!r} is not computed yet: {compute} --community {community} --date {span[0]}`"
        )
    return [span[0]]


def _days(engine: Engine, community: str | None, span: tuple[date, date] | None) -> list[Day]:
    with transaction(engine) as connection:
        if community is not None:
            community = resolve(connection, community)
            if span is not None:
                return due.days_between(connection, community, *span)
        return due.list_due(connection, community)


def _span(on: str | None, first: str | None, last: str | None) -> tuple[date, date] | None:
    """Return the first and last date asked for, None if no date was given."""
    if on is not None and (first or last):
        raise ConfigError("--date cannot be combined with --from and --to: give one day or a range of days")
    if on is not None:
        day = arguments.parse_date("--date", on)
        return day, day
    if (first is None) != (last is None):
        raise ConfigError("only one of --from and --to is given: give both")
    if first is None or last is None:
        return None
    span = arguments.parse_date("--from", first), arguments.parse_date("--to", last)
    if span[0] > span[1]:
        raise ConfigError(f"--from {span[0]} is after --to {span[1]}: swap them")
    return span
