"""What was measured, as Markdown for people and JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from benchmarks.chart import chart


@dataclass
class Series:
    """One figure of one contender, once a round."""

    name: str
    unit: str
    rounds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.rounds)


@dataclass
class Ratio:
    """A figure that the project holds itself to."""

    name: str
    value: float
    goal: float
    sense: Literal["at least", "at most"]
    unit: str = "×"

    @property
    def holds(self) -> bool:
        return self.value >= self.goal if self.sense == "at least" else self.value <= self.goal


@dataclass
class Part:
    """What one part measured. notes: what was checked, and what a reader must know."""

    name: str
    title: str
    series: list[Series]
    ratios: list[Ratio]
    notes: list[str]

    def of(self, name: str) -> float:
        return next(series.median for series in self.series if series.name == name)


def write(folder: Path, parts: Sequence[Part], machine: dict[str, str], *, quick: bool) -> None:
    """Write `latest.md`, `latest.json` and one chart a part."""
    stem = "quick" if quick else "latest"
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        (folder / f"{stem}-{part.name}.svg").write_text(chart(part.title, part.series), encoding="utf-8")
    (folder / f"{stem}.md").write_text("\n".join(_markdown(stem, parts, machine, quick)) + "\n", encoding="utf-8")
    content = {"machine": machine, "quick": quick, "parts": [_as_json(part) for part in parts]}
    (folder / f"{stem}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _as_json(part: Part) -> dict[str, object]:
    content = asdict(part)
    for shown, series in zip(content["series"], part.series, strict=True):
        shown["median"] = series.median
    for shown, ratio in zip(content["ratios"], part.ratios, strict=True):
        shown["holds"] = ratio.holds
    return content


def _markdown(stem: str, parts: Sequence[Part], machine: dict[str, str], quick: bool) -> Iterable[str]:
    yield "# Benchmarks"
    yield ""
    yield "Written by `make bench`. Servers, workers and senders share the machine." + (
        " A quick run: it shows that everything works; its figures say nothing." if quick else ""
    )
    yield ""
    yield from (f"- {name}: {value}" for name, value in machine.items())
    for part in parts:
        yield from ("", f"## {part.title}", "", f"![{part.title}]({stem}-{part.name}.svg)", "")
        yield from _table(part)


def _table(part: Part) -> Iterable[str]:
    yield "| | median | unit | rounds |"
    yield "|---|---:|---|---|"
    for series in part.series:
        rounds = " · ".join(map(figure, series.rounds))
        yield f"| {series.name} | {figure(series.median)} | {series.unit} | {rounds} |"
    if part.ratios:
        yield from ("", "| | measured | goal | |", "|---|---:|---:|---|")
    for ratio in part.ratios:
        goal = f"{ratio.sense} {figure(ratio.goal)} {ratio.unit}"
        verdict = "holds" if ratio.holds else "does not hold"
        yield f"| {ratio.name} | {figure(ratio.value)} {ratio.unit} | {goal} | {verdict} |"
    yield ""
    yield from (f"- {note}" for note in part.notes)


def figure(value: float) -> str:
    """Write three digits that count, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
