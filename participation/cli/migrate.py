"""`participation migrate`."""

import typer

from participation import settings
from participation.cli.group import command_group

app = command_group()


@app.command(epilog="Example: DATABASE_URL=postgresql://… participation migrate")
def migrate() -> None:
    """Create the tables or update them to this version, and create partitions in advance. Repeating it is safe."""
    from participation.store.schema.migrate import migrate as run

    configured = settings.load()
    done = run(configured.database(), configured.partitions_ahead_months)
    typer.echo(f"migrations run: {', '.join(done)}" if done else "the database is up to date")
