"""python-telegram-bot: every update that an `Application` processes goes past us first.

In: updates, as `telegram.Update`. Out: events, through the recorder. The application goes on as if we were not there.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from participation.bots.telegram.commands import Commands
from participation.bots.telegram.listener import Listener
from participation.errors import ConfigError
from participation.publish import Publisher

if TYPE_CHECKING:
    from telegram.ext import Application

    AnyApplication = Application[Any, Any, Any, Any, Any, Any]

GROUP: Final = -1_000_000
"""Handlers run in the order of their groups: none of the bot's own may stop an update before we have seen it."""


def add_participation(
    app: "AnyApplication",
    communities: Mapping[int, str] | None = None,
    publisher: Publisher | None = None,
    *,
    member_commands: bool = False,
) -> Listener:
    """Record what happens in the bot's groups from now on.

    app: made by its builder; give `allowed_updates=ALLOWED_UPDATES`, and what the bot itself needs besides, to its
    `run_polling` or `run_webhook`. communities: from chat ids to the community_id of those that do not take the
    default, `telegram:<chat id>`. publisher: one that is used elsewhere, too. member_commands: whether to answer
    members who ask for what is kept about them; that needs `DATABASE_URL`.
    Returns what must be closed, by `await ….close()`, when the application is not ended by `run_polling` or
    `run_webhook`. Raises `ConfigError` if python-telegram-bot or a setting is missing.
    """
    try:
        from telegram import InputFile

        from participation.bots.telegram.handler import See
    except ImportError as error:
        raise ConfigError(
            "python-telegram-bot is not installed: install participation[telegram], as docs/bots.md says"
        ) from error
    listener = Listener(communities, publisher, Commands(InputFile) if member_commands else None)
    app.add_handler(See(listener, app.bot), GROUP)
    for hook in ("post_stop", "post_shutdown"):
        setattr(app, hook, _then_close(getattr(app, hook), listener))
    return listener


def _then_close(hook: Any, listener: Listener) -> Any:
    """Return a hook that does what the bot's own one does, and closes the listener even if that fails."""

    async def run(app: "AnyApplication") -> None:
        try:
            if hook is not None:
                await hook(app)
        finally:
            await listener.close()

    return run
