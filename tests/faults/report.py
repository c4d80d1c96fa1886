"""What the checker says: a verdict on each invariant, and the counts."""

from dataclasses import dataclass, field
from typing import Final

EXAMPLES: Final = 5


@dataclass
class Verdict:
    """What became of one invariant."""

    said: str = ""
    violations: int = 0
    examples: list[str] = field(default_factory=list)

    def fail(self, template: str, *values: object) -> None:
        """Count a violation; write the first few down."""
        self.violations += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(template.format(*values))


@dataclass
class Report:
    """What was found. accepted = stored + dead + lost; `there` are those of the ambiguous that arrived."""

    accepted: int = 0
    stored: int = 0
    dead: int = 0
    lost: int = 0
    ambiguous: int = 0
    there: int = 0
    double: int = 0
    rows: int = 0
    letters: int = 0
    rest_seconds: float | None = None
    notes: list[str] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=lambda: {f"I{number}": Verdict() for number in range(1, 9)})

    @property
    def broken(self) -> set[str]:
        """Names of the invariants that do not hold."""
        return {name for name, verdict in self.verdicts.items() if verdict.violations}

    def __str__(self) -> str:
        lines = [f"note      {note}" for note in self.notes]
        for name, verdict in self.verdicts.items():
            state = f"FAIL {verdict.violations:,} violation(s);" if verdict.violations else "ok  "
            lines += [f"{name} {state} {verdict.said}", *(f"     {example}" for example in verdict.examples)]
        return "\n".join(lines)
