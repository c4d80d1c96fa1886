"""The result of each check, and the report about the promise that follows from all of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Level(StrEnum):
    """How serious a finding is. Only WARN and FAIL change the exit code."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    meaning: the consequence, as a part of a sentence. cure: what to do. Both are empty if the level is OK.
    weakens: whether only a weaker promise holds because of this warning.
    """

    name: str
    level: Level
    found: str
    meaning: str = ""
    cure: str = ""
    weakens: bool = False


def ok(name: str, found: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(name, Level.OK, found)


def note(name: str, found: str, meaning: str, cure: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(name, Level.NOTE, found, meaning, cure)


def warn(name: str, found: str, meaning: str, cure: str) -> Finding:
    """Return a finding that needs action, although the full promise holds."""
    return Finding(name, Level.WARN, found, meaning, cure)


def weak(name: str, found: str, meaning: str, cure: str) -> Finding:
    """Return a finding because of which only a weaker promise holds."""
    return Finding(name, Level.WARN, found, meaning, cure, weakens=True)


def fail(name: str, found: str, meaning: str, cure: str) -> Finding:
    """Return a finding because of which events are not accepted, not stored, or can be lost unnoticed."""
    return Finding(name, Level.FAIL, found, meaning, cure)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, by the group in which they are shown."""

    groups: Mapping[str, Sequence[Finding]]

    def __iter__(self) -> Iterator[Finding]:
        for findings in self.groups.values():
            yield from findings

    @property
    def promise(self) -> Literal["full", "weaker", "broken"]:
        if any(finding.level is Level.FAIL for finding in self):
            return "broken"
        return "weaker" if any(finding.weakens for finding in self) else "full"

    @property
    def exit_code(self) -> int:
        """0: the full promise holds. 1: a weaker promise holds, or there is a warning. 2: the promise is broken."""
        if self.promise == "broken":
            return 2
        return 1 if any(finding.level is Level.WARN for finding in self) else 0

    @property
    def verdict(self) -> str:
        """The last line of the report."""
        if self.promise == "broken":
            return f"The promise is broken: {_joined(each for each in self if each.level is Level.FAIL)}."
        if self.promise == "weaker":
            return f"A weaker promise holds: {_joined(each for each in self if each.weakens)}."
        warnings = sum(finding.level is Level.WARN for finding in self)
        return "The full promise holds." if not warnings else f"The full promise holds, with {_warnings(warnings)}."


def _joined(findings: Iterable[Finding]) -> str:
    return "; ".join(dict.fromkeys(finding.meaning for finding in findings))


def _warnings(count: int) -> str:
    return "a warning" if count == 1 else f"{count} warnings"
