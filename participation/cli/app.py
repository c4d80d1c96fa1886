"""All commands. Each is imported when it is called or asked for its help, because some load large libraries."""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from participation.errors import ConfigError
from participation.extras import DISTRIBUTION

try:
    from typer import TyperException
except ImportError:  # before 0.26 Typer raises the errors of click
    from click import ClickException as TyperException  # type: ignore[assignment]

COMMANDS: Final = {
    "up": "Run everything on this machine until Ctrl-C.",
    "demo": "Run a simulated community on temporary servers, and print its best day.",
    "migrate": "Create the tables, or update them to this version.",
    "status": "Show how many events, batches and days wait.",
    "doctor": "Check the settings of the servers, and print what to change.",
    "bot": "Run the bundled bots, and check what they can see.",
    "import": "Import history from files.",
    "highlights": "Compute and show local days.",
    "dead-letters": "List, replay and delete messages that could not be stored.",
    "communities": "Set and list the names and time zones of communities.",
    "members": "List members, link accounts; export and erase the data of members.",
}
"""The commands and groups, in the order of the help, each with its help line. Each is the `app` of its own module."""

_MODULES: Final = {"dead-letters": "dead_letters", "import": "imports"}
"""Names of modules that differ from the names of their commands."""


class _Commands(dict[str, Any]):
    """The commands by name. Each is imported when it is looked up for the first time."""

    def __missing__(self, name: str) -> Any:
        module = import_module(f"participation.cli.{_MODULES.get(name, name)}")
        command = get_command(module.app)
        command.name = name
        command.help = command.help or COMMANDS[name]
        self[name] = command
        return command


class _LazyGroup(TyperGroup):
    """A group whose help and look-up do not import the commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Commands()
        self.suggest_commands = False  # it would suggest only commands that are already imported

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        return self.commands[cmd_name] if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except TyperException as error:
            near = get_close_matches(args[0], COMMANDS)
            if near and hasattr(error, "message"):
                error.message = f"{error.message.removesuffix('.')}. Did you mean {', '.join(map(repr, near))}?"
            raise

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    name="participation",
    cls=_LazyGroup,
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(context_settings={"help_option_names": ["-h", "--help"]})
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Store every participation event of a community exactly once, and compute highlights for every local day."""
    if version:
        from importlib import metadata

        typer.echo(metadata.version(DISTRIBUTION))
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code. Raises `ConfigError` for wrong arguments."""
    try:
        code = app(list(arguments), standalone_mode=False)
    except TyperException as error:
        raise ConfigError(error.format_message()) from error
    except typer.Abort:
        raise KeyboardInterrupt from None
    except UnicodeEncodeError as error:
        # PostgreSQL stores no such text. Names of files may be like this, so not every argument is checked before.
        wrong = next((each for each in arguments if not each.isascii() and error.object in each), None)
        if wrong is None:
            raise
        raise ConfigError(f"{wrong!a} is not UTF-8: write it again in a terminal that uses UTF-8") from error
    return code if isinstance(code, int) else 0
