"""Keeps the menu of commands that Telegram shows for the bundled bot. Only the member commands in it change.

The token may be that of a bot with commands of its own. Telegram shows the list for private chats if there is one, and
otherwise the default list, so a new list for private chats would hide the default one. Lists for a language are left as
they are.
"""

from typing import Final

from aiogram import Bot
from aiogram.types import BotCommand, BotCommandScopeAllPrivateChats, BotCommandScopeDefault

from participation.bots.member_answers import COMMANDS

PRIVATE: Final = BotCommandScopeAllPrivateChats()
DEFAULT: Final = BotCommandScopeDefault()


async def add(bot: Bot) -> list[str]:
    """Add the member commands to the menu of private chats. Return those that were missing or different."""
    private, default = [await bot.get_my_commands(scope) for scope in (PRIVATE, DEFAULT)]
    is_shared = any(each.command not in COMMANDS for each in private)
    scope, menu = (PRIVATE, private) if is_shared or not default else (DEFAULT, default)
    if private and scope is DEFAULT:
        await bot.delete_my_commands(PRIVATE)  # older versions hid the default list with it
    changed = [name for name in COMMANDS if name not in [each.command for each in menu if _is_ours(each)]]
    if changed:
        others = [each for each in menu if each.command not in changed]
        new = [BotCommand(command=name, description=COMMANDS[name]) for name in changed]
        await bot.set_my_commands([*others, *new], scope)
    return changed


async def remove(bot: Bot) -> list[str]:
    """Remove the member commands from the menu, and return their names. Other commands with these names stay."""
    removed = []
    for scope in (PRIVATE, DEFAULT):
        menu = await bot.get_my_commands(scope)
        others = [each for each in menu if not _is_ours(each)]
        if len(others) < len(menu):
            removed += [each.command for each in menu if _is_ours(each)]
            await (bot.set_my_commands(others, scope) if others else bot.delete_my_commands(scope))
    return removed


def _is_ours(command: BotCommand) -> bool:
    return command.description == COMMANDS.get(command.command)
