"""Keeps the list of slash commands that Discord shows for the bundled bot. Only the member commands in it change.

The token may be that of a bot with commands of its own. `CommandTree.sync` would replace all of them.
"""

from typing import Any

import discord
from discord import AppCommandType
from discord.app_commands import AppCommand, Command, CommandTree

from participation.bots.member_answers import COMMANDS

Tree = CommandTree[Any]


async def add(tree: Tree) -> list[str]:
    """Register the member commands of the tree, and return the names of those that were missing or different.

    The others are not sent, because Discord limits how many commands a bot may create in a day.
    """
    known = {each.name: each for each in await _slash_commands(tree)}
    changed = [each for each in tree.get_commands() if isinstance(each, Command) and not _is_ours(known.get(each.name))]
    for command in changed:
        await tree.client.http.upsert_global_command(_application_id(tree.client), _payload(command, tree))
    return [command.name for command in changed]


async def remove(tree: Tree) -> list[str]:
    """Remove the member commands from the list, and return their names. Other commands with these names stay."""
    ours = [each for each in await _slash_commands(tree) if _is_ours(each)]
    for command in ours:
        await command.delete()
    return [command.name for command in ours]


async def _slash_commands(tree: Tree) -> list[AppCommand]:
    return [each for each in await tree.fetch_commands() if each.type is AppCommandType.chat_input]


def _is_ours(command: AppCommand | None) -> bool:
    return command is not None and command.description == COMMANDS.get(command.name) and not command.options


def _application_id(client: discord.Client) -> int:
    if client.application_id is None:
        raise discord.MissingApplicationID
    return client.application_id


def _payload(command: Command[Any, Any, Any], tree: Tree) -> Any:
    return command.to_dict(tree)
