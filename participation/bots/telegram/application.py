"""python-telegram-bot: the adapter sees every update of an `Application` before the bot does.

In: updates, as `telegram.Update`. Out: events, through the recorder. The application handles every update as before.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from participation import extras
from participation.bots.bot_api.listener import Listener
from participation.bots.bot_api.member_commands import MemberCommands
from participation.publish import Publisher

if TYPE_CHECKING:
    from telegram.ext import Application

    AnyApplication = Application[Any, Any, Any, Any, Any, Any]

GROUP: Final = -1_000_000
"""Handlers run in the order of their groups. Ours must run first, because a handler of the bot may stop an update."""


def add_participation(
    app: "AnyApplication",
    communities: Mapping[int, str] | None = None,
    publisher: Publisher | None = None,
    *,
    member_commands: bool = False,
) -> Listener:
    """Record what happens in the bot's groups from now on.

    app: a built application. Pass `allowed_updates` to its `run_polling` or `run_webhook`: `ALLOWED_UPDATES`, and what
    the bot itself needs. communities: the community_id of chats, by the chat's id; the default is
    `telegram:<chat id>`. publisher: one to share with other code. member_commands: whether to answer members who ask
    what is kept about them; that needs `DATABASE_URL`.
    Returns the listener. Await its `close()` if neither `run_polling` nor `run_webhook` ends the application. Raises
    `ConfigError` if python-telegram-bot or a setting is missing.
    """
    extras.require("telegram")
    from telegram import InputFile

    from participation.bots.telegram.handler import See

    listener = Listener(communities, publisher, MemberCommands(InputFile) if member_commands else None)
    app.add_handler(See(listener, app.bot), GROUP)
    for hook in ("post_stop", "post_shutdown"):
        setattr(app, hook, _then_close(getattr(app, hook), listener))
    return listener


def _then_close(hook: Any, listener: Listener) -> Any:
    """Return a hook that runs the bot's own hook, and then closes the listener, also if the hook fails."""

    async def run(app: "AnyApplication") -> None:
        try:
            if hook is not None:
                await hook(app)
        finally:
            await listener.close()

    return run
