"""The errors of participation: one class for each way in which the calling code must react."""

import sys
from typing import TYPE_CHECKING, Any

# Celery's command line is made with click, and prints an error of click as one line. Other programs do not load click.
if TYPE_CHECKING or "click" in sys.modules:
    from click import ClickException as _CommandError
else:
    _CommandError = Exception


class ParticipationError(Exception):
    """The base of all errors. The text says what is wrong, where, and what to do.

    acknowledged: how many of the events given to `track_events`, counted from the first, Redis has certainly
    acknowledged. 0 for every other call.
    """

    acknowledged: int = 0


class ConfigError(ParticipationError, _CommandError):
    """A setting, an argument or the state of a server is wrong. Stop: a retry will not help.

    It is also an error of click, so that Celery's command line prints it as one line and exits with code 2.
    """

    exit_code = 2


class Unavailable(ParticipationError):
    """A server does not answer, or refuses for now. Nothing is lost: try again later."""


class BatchTaken(Unavailable):
    """Another process is storing this batch: leave it alone."""


class InvalidEvent(ParticipationError, ValueError):
    """An event, or the message that contains it, breaks a rule. Never retry it unchanged.

    field: the field or the part of the message that is wrong; "event" for the whole value.
    rule: what the field must be.
    raw: the refused value, as it was given.
    code: the reason with which a worker stores it in `dead_letters`.
    index: the position in the events given to `track_events`, counted from 0; None for an event given alone.
    """

    index: int | None = None

    def __init__(self, field: str, rule: str, raw: object = None, code: str = "invalid_event") -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule
        self.raw = raw
        self.code = code

    def __str__(self) -> str:
        where = "" if self.index is None else f"event {self.index}: "
        return f"{where}{self.field}: {self.rule}"

    def __reduce__(self) -> tuple[type["InvalidEvent"], tuple[str, str, object, str], dict[str, Any]]:
        return type(self), (self.field, self.rule, self.raw, self.code), self.__dict__


class Rejected(ParticipationError):
    """PostgreSQL refuses the values of at least one row. Make that row a dead letter: a retry will not help."""
