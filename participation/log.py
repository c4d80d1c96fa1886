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


def _text(name: str, advice: str, fields: dict[str, object]) -> str:
    line = " ".join([name, *(f"{field}={_value(value)}" for field, value in fields.items())])
    return f"{line}: {advice}" if advice else line


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return text if _UNQUOTED.fullmatch(text) else repr(text)
