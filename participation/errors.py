"""The errors of participation: one class for each decision that whoever catches it has to take."""

from typing import Any

from click import ClickException


class ParticipationError(Exception):
    """Anything that participation raises on purpose. Its text says what is wrong, where, and what to do.

    acknowledged: of what was given to `track_events`, how many, counted from the first, Redis has acknowledged for
    certain; 0 in an error of anything else.
    """

    acknowledged: int = 0


class ConfigError(ParticipationError, ClickException):
    """A setting, an argument or the state of a server is wrong: stop, a repeat will not help.

    Also an error of click, so that Celery's own command line prints it as one line, too, and ends with code 2.
    """

    exit_code = 2


class Unavailable(ParticipationError):
    """A server does not answer or refuses for now: nothing was lost, try again later."""


class Taken(Unavailable):
    """Another process is storing this very batch: leave it alone."""


class InvalidEvent(ParticipationError, ValueError):
    """An event, or the message that should carry one, breaks the contract: never retry it as it is.

    field: the name of the field or of the part of the message; "event" when the value as a whole is wrong.
    rule: what it must be.
    raw: the value that was refused, as it was given.
    code: the reason under which a worker puts it into `dead_letters`.
    index: which of the events that were given to `track_events` it is, counted from 0; None if it was given alone.
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
    """PostgreSQL refuses the values of at least one row: find it and quarantine it, a repeat will not help."""
