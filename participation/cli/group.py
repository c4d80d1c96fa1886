"""How every command and group is set up: plain help, no shell completion, no decorated tracebacks."""

import typer


def command_group() -> typer.Typer:
    """Return an empty group. With one command and no callback it is that command."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
