"""`participation migrate`."""

import typer

from participation import settings
from participation.cli import output
from participation.cli.group import command_group

app = command_group()


@app.command(epilog="Example: DATABASE_URL=postgresql://… participation migrate")
def migrate() -> None:
    """Create the tables or update them to this version, and create partitions in advance. Repeating it is safe."""
    from participation.cli import connections
    from participation.store.communities import zones
    from participation.store.database import transaction
    from participation.store.schema.migrate import migrate as run

    configured = settings.load()
    done = run(configured.database(), configured.partitions_ahead_months)
    typer.echo(f"migrations run: {', '.join(done)}" if done else "the database is up to date")
    with connections.database() as engine, transaction(engine) as connection:
        faulty = [each for each in zones.in_use(connection) if each.fault is not None]
    for each in faulty:
        what = f"the time zone {each.timezone!r} of {each.community_id!r} is not accepted any more"
        typer.echo(f"warning: {what}: run `{output.escape(each.command)}`", err=True)
