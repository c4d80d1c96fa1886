"""Trouble that may come with every event is logged now and then, not with every event."""

import logging
import time
from typing import Final

COMPLAIN_SECONDS: Final = 60.0
"""Least time between two log lines about the same trouble."""


class Complaints:
    """Logs warnings, the same one at most once a minute."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next: dict[str, float] = {}

    def log(self, name: str, text: str, *values: object) -> None:
        """Log `name` and `text`, both constants, with the values; nothing if that name was logged a short while ago."""
        now = time.monotonic()
        if now >= self._next.get(name, 0.0):
            self._next[name] = now + COMPLAIN_SECONDS
            self._logger.warning(f"{name} {text}", *values)  # noqa: G004 - constants
