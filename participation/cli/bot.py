"""`participation bot …`."""

from typing import Annotated

import typer

from participation import extras
from participation.cli.group import command_group

app = command_group()

Check = Annotated[
    bool, typer.Option("--check", help="Only check what the bot can see. Exit code 0 if nothing is missing, else 2.")
]

MemberCommands = Annotated[
    bool,
    typer.Option(
        "--member-commands", help="Let members see and erase the data that is stored about them. Needs DATABASE_URL."
    ),
]

IgnoreChannels = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore-channel",
        metavar="ID",
        help="Send nothing of this channel and of what is below it. Repeatable. Telegram: a chat, or CHAT/TOPIC.",
    ),
]


@app.command("telegram", epilog="Example: PARTICIPATION_TELEGRAM_TOKEN=… participation bot telegram --check")
def telegram(
    check: Check = False, member_commands: MemberCommands = False, ignore_channel: IgnoreChannels = None
) -> None:
    """Run the bundled Telegram bot until Ctrl-C. It records what happens in its groups.

    Set its token in PARTICIPATION_TELEGRAM_TOKEN. When the bot starts, it prints which permissions are missing, and
    what it cannot see without them.
    """
    extras.require("aiogram")
    from participation.bots.aiogram.runner import run

    raise typer.Exit(
        run(typer.echo, only_check=check, member_commands=member_commands, ignored_channels=ignore_channel or ())
    )


@app.command("discord", epilog="Example: PARTICIPATION_DISCORD_TOKEN=… participation bot discord --check")
def discord(
    check: Check = False, member_commands: MemberCommands = False, ignore_channel: IgnoreChannels = None
) -> None:
    """Run the bundled Discord bot until Ctrl-C. It records what happens in its servers.

    Set its token in PARTICIPATION_DISCORD_TOKEN. When the bot starts, it prints which permissions are missing, and what
    it cannot see without them.
    """
    extras.require("discord")
    from participation.bots.discord.runner import run

    raise typer.Exit(
        run(typer.echo, only_check=check, member_commands=member_commands, ignored_channels=ignore_channel or ())
    )
