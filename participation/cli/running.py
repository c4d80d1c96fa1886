"""`participation up`, `demo`, `migrate`, `status` and `doctor`."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from participation import settings
from participation.cli import context
from participation.cli.doctor import doctor


def register(app: typer.Typer) -> None:
    """Add the commands that are not in a group."""
    app.command("up", epilog="Example: participation up --data-dir ./data")(up)
    app.command("demo", epilog="Example: participation demo")(demo)
    app.command("migrate", epilog="Example: DATABASE_URL=postgresql://… participation migrate")(migrate)
    app.command("status", epilog="Example: participation status --json")(status)
    app.command("doctor", epilog="Example: participation doctor --json")(doctor)


def up(
    data_dir: Annotated[
        Path, typer.Option(help="Folder that keeps the data.", show_default="~/.local/share/participation")
    ] = settings.DATA_DIR,
) -> None:
    """Run everything on this machine: PostgreSQL, Valkey, worker, Beat and Flower, until Ctrl-C.

    Servers that DATABASE_URL and REDIS_URL name are used instead of own ones.
    """
    from participation.local.up import up as run

    raise typer.Exit(run(data_dir, sys.stdout))


def demo() -> None:
    """Run the whole route on a simulated community, print its best day, and leave nothing behind."""
    from participation.local.demo import demo as run

    run(sys.stdout)


def migrate() -> None:
    """Bring the database to the current schema and make the partitions ahead. A repeat is safe."""
    from participation.store.migrate import migrate as run

    configured = settings.load()
    done = run(configured.database(), configured.partitions_ahead_months)
    typer.echo(f"migrations run: {', '.join(done)}" if done else "the database is up to date")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Say where events are and what waits. `unknown`: the programs that sent what waits do not tell the time."""
    from participation.status import read

    with context.database() as engine, context.queue() as redis:
        now = read(redis, engine)
    if as_json:
        typer.echo(orjson.dumps(now).decode())
        return
    waits = now.queue_length or now.batches_in_flight
    lines = {
        "queue length": f"{now.queue_length:,} events",
        "batches in flight": f"{now.batches_in_flight:,}",
        "oldest waiting": _seconds(now.oldest_waiting_seconds, "unknown" if waits else "nothing waits"),
        "last commit": _ago(now.last_commit_at, now.checked_at),
        "dead letters": f"{now.dead_letters:,}",
        "days due": f"{now.days_due:,}",
    }
    for name, value in lines.items():
        typer.echo(f"{name:<20}{value}")


def _seconds(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,.1f} s"


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "none in the last days"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({(now - moment).total_seconds():,.0f} s ago)"
