"""Log lines: a constant event name with fields, for example `batch_stored batch_id=4f1c duration_seconds=0.074`.

Fields are ids, counts and errors. Payloads and credentials are never logged. Each record also has the attributes
`event` and `fields`, for handlers that write structured output.
"""

import logging
import re
import sys
import time
from typing import Final

THROTTLE_SECONDS: Final = 60.0
"""Shortest time between two lines of the same throttled event."""

_UNQUOTED: Final = re.compile(r"[\w.,:;@/+*#…-]+")


def event(name: str, *, level: int = logging.INFO, advice: str = "", stacklevel: int = 1, **fields: object) -> None:
    """Log an event under the name of the calling module.

    name: a constant, in snake_case. advice: what happens now, or what to do. stacklevel: 1 is the caller.
    """
    logger = logging.getLogger(sys._getframe(stacklevel).f_globals["__name__"])
    if logger.isEnabledFor(level):
        extra = {"event": name, "fields": fields}
        logger.log(level, "%s", _text(name, advice, fields), extra=extra, stacklevel=stacklevel + 1)


class Throttle:
    """Logs problems that can occur with every message, each event name at most once in a number of seconds."""

    def __init__(self, seconds: float = THROTTLE_SECONDS) -> None:
        self._seconds = seconds
        self._next_at: dict[str, float] = {}

    def warn(self, name: str, *, advice: str = "", **fields: object) -> None:
        """Log a warning, unless this event was logged a short while ago."""
        if self._is_due(name):
            event(name, level=logging.WARNING, advice=advice, stacklevel=2, **fields)

    def _is_due(self, name: str) -> bool:
        now = time.monotonic()
        is_due = now >= self._next_at.get(name, 0.0)
        if is_due:
            self._next_at[name] = now + self._seconds
        return is_due


class Outage:
    """Logs a warning when something stops working, and another one when it works again, each once.

    failed, recovered: the names of the two events. advice: what happens meanwhile, and what to do. An outage that
    begins less than `seconds` after the end of the last one is not logged.
    """

    def __init__(self, failed: str, recovered: str, advice: str, seconds: float) -> None:
        self._failed, self._recovered, self._advice, self._seconds = failed, recovered, advice, seconds
        self._begun_at: float | None = None
        self._next_at = 0.0

    def begin(self, detail: object) -> None:
        """Log the outage with its cause, unless it is known."""
        now = time.monotonic()
        if self._begun_at is None and now >= self._next_at:
            self._begun_at = now
            event(self._failed, level=logging.WARNING, advice=self._advice, stacklevel=2, detail=detail)

    def end(self) -> None:
        """Log that the outage is over, if there was one."""
        if self._begun_at is not None:
            seconds, self._begun_at = time.monotonic() - self._begun_at, None
            self._next_at = time.monotonic() + self._seconds
            event(self._recovered, level=logging.WARNING, stacklevel=2, outage_seconds=seconds)


def _text(name: str, advice: str, fields: dict[str, object]) -> str:
    line = " ".join([name, *(f"{field}={_value(value)}" for field, value in fields.items())])
    return f"{line}: {advice}" if advice else line


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return text if _UNQUOTED.fullmatch(text) else repr(text)
