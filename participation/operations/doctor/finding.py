"""What a check found, and what all of them together say about the promise."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Level(StrEnum):
    """How much a finding matters. Only WARN and FAIL change the exit code."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    meaning: what follows from it, as a part of a sentence. cure: the command or the line to write. Both are empty
    where all is well.
    weakens: a warning that takes something away from the promise, and does not only ask for attention.
    """

    name: str
    level: Level
    found: str
    meaning: str = ""
    cure: str = ""
    weakens: bool = False


def ok(name: str, found: str) -> Finding:
    return Finding(name, Level.OK, found)


def note(name: str, found: str, meaning: str, cure: str) -> Finding:
    """Return something to know that needs no action."""
    return Finding(name, Level.NOTE, found, meaning, cure)


def warn(name: str, found: str, meaning: str, cure: str) -> Finding:
    """Return something to act on; the full promise holds."""
    return Finding(name, Level.WARN, found, meaning, cure)


def weak(name: str, found: str, meaning: str, cure: str) -> Finding:
    """Return something because of which only a weaker promise holds."""
    return Finding(name, Level.WARN, found, meaning, cure, weakens=True)


def fail(name: str, found: str, meaning: str, cure: str) -> Finding:
    """Return something because of which events are not taken, not stored, or can be lost unseen."""
    return Finding(name, Level.FAIL, found, meaning, cure)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings by the group in which they are shown."""

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
        """0: the full promise holds. 1: so does it, with a warning, or a weaker one. 2: it is broken."""
        if self.promise == "broken":
            return 2
        return 1 if any(finding.level is Level.WARN for finding in self) else 0

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.promise == "broken":
            return f"Broken: {_joined(each for each in self if each.level is Level.FAIL)}."
        if self.promise == "weaker":
            return f"A weaker promise holds: {_joined(each for each in self if each.weakens)}."
        warnings = sum(finding.level is Level.WARN for finding in self)
        return "The full promise holds." if not warnings else f"The full promise holds, with {_warnings(warnings)}."


def _joined(findings: Iterable[Finding]) -> str:
    return "; ".join(dict.fromkeys(finding.meaning for finding in findings))


def _warnings(count: int) -> str:
    return "a warning" if count == 1 else f"{count} warnings"
