"""The command line: `participation --help`. Commands are thin; the work is done in the rooms they call."""

import sys
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from participation.cli import bot, dead_letters, highlights, imports, registry, running
from participation.errors import ParticipationError

WRONG = 2
INTERRUPTED = 130

app = typer.Typer(
    name="participation",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(context_settings={"help_option_names": ["-h", "--help"]})
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Every participation event of a community stored exactly once, every local day turned into highlights."""
    if version:
        typer.echo(metadata.version("participation"))
        raise typer.Exit


running.register(app)
app.add_typer(bot.app, name="bot", help="Run a bot that records, and check what it may see.")
app.add_typer(imports.app, name="import", help="Bring in history from files.")
app.add_typer(highlights.app, name="highlights", help="Compute and show local days.")
app.add_typer(
    dead_letters.app, name="dead-letters", help="Messages that could not be stored: look, send again, delete."
)
app.add_typer(registry.communities, name="communities", help="Names and time zones of communities.")
app.add_typer(bot.app, name="bot", help="Run a bot that records, and check what it may see.")
app.add_typer(registry.members, name="members", help="Accounts of one person, and what members may ask for.")


def main() -> NoReturn:
    """Run the command line. Errors are one line on standard error; the exit code is 2 then."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (ParticipationError, typer.TyperException) as error:
        text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        print(f"error: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201
        sys.exit(WRONG)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; what is buffered has nowhere to go.
        sys.stdout = None
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
