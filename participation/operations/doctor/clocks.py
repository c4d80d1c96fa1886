"""The clocks of the machines: events are dated by one, judged by another, and days close by a third."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from participation.limits import AHEAD
from participation.operations.doctor.finding import Finding, fail, ok, warn

EVEN_SECONDS: Final = 1.0
"""Clocks that are kept by NTP are together within some hundredths of a second."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A server's clock beside ours: how far it is ahead, and how much of that may be the way there and back."""

    ahead_seconds: float
    unsure_seconds: float

    @property
    def apart_seconds(self) -> float:
        """How far the clocks are apart at the least."""
        return max(0.0, abs(self.ahead_seconds) - self.unsure_seconds)


def compare(ask: Callable[[], float]) -> Clock:
    """Ask for the server's time, in seconds since 1970, and compare it with ours in the middle of the asking."""
    asked_at = time.time()
    theirs = ask()
    answered_at = time.time()
    return Clock(theirs - (asked_at + answered_at) / 2, (answered_at - asked_at) / 2)


def judge(server: str, clock: Clock, effect: str) -> Finding:
    """Say how far apart the clocks are. effect: what the server's clock is for."""
    name = f"clock of {server}"
    if clock.apart_seconds <= EVEN_SECONDS:
        return ok(name, "together with this machine's")
    side = "ahead of" if clock.ahead_seconds > 0 else "behind"
    found = f"{abs(clock.ahead_seconds):,.1f} s {side} this machine's"
    cure = "set the clocks by NTP on all machines (`timedatectl set-ntp true`)"
    if clock.apart_seconds <= AHEAD.total_seconds():
        return warn(name, found, f"{effect}; more than 5 minutes between bot and worker refuse events", cure)
    meaning = (
        "a worker on the clock that is behind refuses events from the clock that is ahead: they become dead letters"
    )
    return fail(name, found, meaning, cure)
