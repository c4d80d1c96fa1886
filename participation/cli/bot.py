"""`participation bot …`."""

from typing import Annotated

import typer

from participation.errors import ConfigError

app = typer.Typer()

Check = Annotated[
    bool, typer.Option("--check", help="Only check what the bot may see: exit code 0 if nothing is missing, else 2.")
]

MemberCommands = Annotated[
    bool,
    typer.Option("--member-commands", help="Answer members who ask for what is kept about them; needs DATABASE_URL."),
]


@app.command("telegram", epilog="Example: PARTICIPATION_TELEGRAM_TOKEN=… participation bot telegram --check")
def telegram(check: Check = False, member_commands: MemberCommands = False) -> None:
    """Record what happens in the groups to which this Telegram bot is added, until Ctrl-C.

    The token is in PARTICIPATION_TELEGRAM_TOKEN. At its start it says what it lacks, and what will not be seen.
    """
    try:
        from participation.bots.aiogram.runner import run
    except ModuleNotFoundError as error:
        raise _missing("aiogram", error) from error
    raise typer.Exit(run(typer.echo, only_check=check, member_commands=member_commands))


@app.command("discord", epilog="Example: PARTICIPATION_DISCORD_TOKEN=… participation bot discord --check")
def discord(check: Check = False, member_commands: MemberCommands = False) -> None:
    """Record what happens in the servers to which this Discord bot is added, until Ctrl-C.

    The token is in PARTICIPATION_DISCORD_TOKEN. At its start it says what it lacks, and what will not be seen.
    """
    try:
        from participation.bots.discord.runner import run
    except ModuleNotFoundError as error:
        raise _missing("discord", error) from error
    raise typer.Exit(run(typer.echo, only_check=check, member_commands=member_commands))


def _missing(extra: str, error: ModuleNotFoundError) -> Exception:
    """Return what to say when the library of an extra is not installed, the error itself if it is another module."""
    if error.name is None or error.name.partition(".")[0] == "participation":
        return error
    return ConfigError(
        f"the module {error.name} is not installed: install participation[{extra}], as docs/bots.md says"
    )
