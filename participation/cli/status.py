"""`participation status`."""

from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from participation.cli import connections
from participation.cli.group import command_group
from participation.errors import Unavailable
from participation.operations.status import Status, read_status

app = command_group()


@app.command(epilog="Example: participation status --json")
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Show how many events, batches and days wait, and when a batch was last stored.

    `oldest waiting` is `unknown` if the waiting events do not contain the time when they were sent. If a server does
    not answer, its lines are left out, an error says why, and the exit code is 2.
    """
    with connections.database() as engine, connections.redis() as redis:
        now = read_status(redis, engine)
    if as_json:
        typer.echo(orjson.dumps(now).decode())
    else:
        for name, value in _lines(now).items():
            typer.echo(f"{name:<20}{value}")
    if now.errors:
        raise Unavailable("; ".join(now.errors))


def _lines(now: Status) -> dict[str, str]:
    lines = {}
    if now.queue_length is not None and now.batches_in_flight is not None:
        waits = now.queue_length or now.batches_in_flight
        lines["queue length"] = f"{now.queue_length:,} events"
        lines["batches in flight"] = f"{now.batches_in_flight:,}"
        lines["oldest waiting"] = _seconds(now.oldest_waiting_seconds, "unknown" if waits else "nothing waits")
    if now.dead_letters is not None:
        lines["last commit"] = _ago(now.last_commit_at, now.checked_at)
        lines["dead letters"] = f"{now.dead_letters:,}"
        lines["days due"] = f"{now.days_due:,}"
    return lines


def _seconds(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,.1f} s"


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "none in the last days"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({(now - moment).total_seconds():,.0f} s ago)"
