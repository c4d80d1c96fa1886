"""The adapter for python-telegram-bot. It reads every update of an `Application` before the bot's own handlers do.

In: updates, as `telegram.Update`. Out: events, through the recorder. The application handles updates as before.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from participation import extras
from participation.bots.bot_api.listener import Listener
from participation.bots.bot_api.member_commands import MemberCommands
from participation.bots.options import Channels, Communities, check_flag, check_type
from participation.publish import Publisher

if TYPE_CHECKING:
    from telegram.ext import Application

    AnyApplication = Application[Any, Any, Any, Any, Any, Any]
    Hook = Callable[[AnyApplication], Coroutine[Any, Any, None]]

GROUP: Final = -1_000_000
"""Handlers run in the order of their groups. Ours must be first, because a handler of the bot may stop an update."""


def add_participation(
    app: "AnyApplication",
    communities: Communities | None = None,
    publisher: Publisher | None = None,
    *,
    member_commands: bool = False,
    ignored_channels: Channels | None = None,
) -> Listener:
    """Record what happens in the bot's groups from now on.

    app: a built application. Call its `run_polling` or `run_webhook` with `allowed_updates`: `ALLOWED_UPDATES`, and the
    types that the bot itself needs. communities: the community_id of chats, by the chat's id. The default is
    `telegram:<chat id>`. publisher: a publisher that other code uses too. The default is a new one. member_commands:
    whether to answer members who ask what is kept about them. This needs `DATABASE_URL`. ignored_channels: ids of
    chats, or of topics as `<chat id>/<topic id>`; what happens in them never leaves the bot.
    Returns the listener. If you start and stop the application without `run_polling` and `run_webhook`, await its
    `close()`. Raises `ConfigError` if python-telegram-bot or a setting is missing, or if an argument is wrong.
    """
    extras.require("telegram")
    from telegram import InputFile
    from telegram.ext import Application

    from participation.bots.telegram.handler import See

    check_type("app", app, Application)
    commands = MemberCommands(InputFile) if check_flag("member_commands", member_commands) else None
    listener = Listener(communities, publisher, ignored_channels, commands)
    app.add_handler(See(listener, app.bot), GROUP)
    app.post_stop = _then_close(app.post_stop, listener)
    app.post_shutdown = _then_close(app.post_shutdown, listener)
    return listener


def _then_close(hook: "Hook | None", listener: Listener) -> "Hook":
    """Return a hook that runs the bot's own hook and then closes the listener, even if the bot's hook fails."""

    async def run(app: "AnyApplication") -> None:
        try:
            if hook is not None:
                await hook(app)
        finally:
            await listener.close()

    return run
