"""Prepares Flower before it starts: reads `.env`, sets our defaults, and ends it with code 2 if it has no login.

Flower itself reads only its options and the environment, answers everyone without a login, and listens on all
addresses. `celery -A participation.app flower` is Flower's own command, so the app hooks into it.
"""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from celery import Celery
from celery.signals import import_modules
from click import echo, get_current_context

from participation import keys, settings
from participation.errors import ConfigError

NAME: Final = "flower"
"""Name of Flower's command."""

LOGINS: Final = "FLOWER_BASIC_AUTH"

DEFAULTS: Final = {
    "FLOWER_ADDRESS": "127.0.0.1",
    "FLOWER_TASKS_COLUMNS": "name,state,result,runtime,received,worker,uuid",
}
"""The local address, because `/metrics` and `/healthcheck` need no login. Flower 2.2 does not list results itself."""

LOGIN: Final = re.compile(r"[!-9;-~]+:[!-~]+")


def attach(app: Celery) -> None:
    """Make Flower's command call us after it has read its options, and before it listens."""
    import_modules.connect(_prepare, sender=app)


def check_logins(logins: Iterable[str]) -> None:
    """Raise `ConfigError` unless there are logins, and each has a user and a password."""
    logins = [*logins]
    if not any(logins):
        raise ConfigError(
            f"{LOGINS} is not set, and Flower needs a login: "
            f"put {LOGINS}=user:password into the environment or into .env"
        )
    if not all(map(LOGIN.fullmatch, logins)):
        raise ConfigError(
            f"Flower: a login in {LOGINS} or --basic-auth is not user:password; "
            "write each in ASCII, without a space or a comma in it, and put commas between them"
        )


def _prepare(sender: Celery, **_: object) -> None:
    """If this process is Flower, prepare it, or end it with code 2."""
    context = get_current_context(silent=True)
    if context is None or context.info_name != NAME:
        return
    try:
        _apply(settings.load(), context.params["tornado_argv"])
    except Exception as error:  # Celery would go on after any error, and Flower would answer without a login
        echo(f"error: {error}", err=True)
        sys.exit(2)
    # Its page of the broker lists these queues while no worker answers. Flower consumes none of them.
    sender.conf.task_queues = [*sender.conf.task_queues, sender.amqp.queues.new_missing(keys.EVENTS)]


def _apply(configured: settings.Settings, arguments: Sequence[str]) -> None:
    """Let Flower read its options once more, with ours in its environment. Its arguments still have priority."""
    from flower.command import apply_env_options, apply_options  # type: ignore[import-untyped]
    from tornado.options import options

    configured.redis()
    if configured.flower_basic_auth is not None:
        os.environ[LOGINS] = configured.flower_basic_auth.get_secret_value()
    if configured.flower_port is not None:
        os.environ["FLOWER_PORT"] = str(configured.flower_port)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    apply_env_options()
    apply_options(sys.argv[0], arguments)
    if not options.auth:
        check_logins(options.basic_auth or ())
