"""The clocks of the machines. A bot dates an event, a worker checks the date, and PostgreSQL ends days."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from participation.limits import AHEAD
from participation.operations.doctor.finding import Finding, fail, ok, warn

EVEN_SECONDS: Final = 1.0
"""Largest difference that is ignored. Clocks that use NTP differ by some hundredths of a second."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A server's clock compared with ours.

    ahead_seconds: how far the server's clock is ahead. unsure_seconds: the possible error, from the time of the answer.
    """

    ahead_seconds: float
    unsure_seconds: float

    @property
    def apart_seconds(self) -> float:
        """The smallest possible difference of the clocks."""
        return max(0.0, abs(self.ahead_seconds) - self.unsure_seconds)


def compare(ask: Callable[[], float]) -> Clock:
    """Ask for the server's time, in seconds since 1970, and compare it with ours in the middle of the call."""
    asked_at = time.time()
    theirs = ask()
    answered_at = time.time()
    return Clock(theirs - (asked_at + answered_at) / 2, (answered_at - asked_at) / 2)


def judge(server: str, clock: Clock, effect: str) -> Finding:
    """Check how far apart the clocks are. effect: what the server's clock decides."""
    name = f"clock of {server}"
    if clock.apart_seconds <= EVEN_SECONDS:
        return ok(name, "agrees with this machine's")
    side = "ahead of" if clock.ahead_seconds > 0 else "behind"
    found = f"{abs(clock.ahead_seconds):,.1f} s {side} this machine's"
    cure = "turn on NTP on all machines: `timedatectl set-ntp true`"
    if clock.apart_seconds <= AHEAD.total_seconds():
        meaning = f"{effect}; if the clocks of a bot and a worker differ by more than 5 minutes, events are refused"
        return warn(name, found, meaning, cure)
    meaning = "a worker whose clock is behind refuses events from a bot whose clock is ahead: they become dead letters"
    return fail(name, found, meaning, cure)
