"""Writes the results as Markdown for people and as JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.chart import chart


@dataclass
class Series:
    """One figure of one contender, with a value for each round."""

    name: str
    unit: str
    rounds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.rounds)


@dataclass
class Ratio:
    """A figure with a goal."""

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
    """The results of one part. notes: what was checked, and what a reader must know."""

    name: str
    title: str
    series: list[Series]
    ratios: list[Ratio]
    notes: list[str]

    def of(self, name: str) -> float:
        return next(series.median for series in self.series if series.name == name)


def progress(part: str, round_: int, rounds: int, what: str) -> None:
    """Print what is measured next to standard error."""
    print(f"  {part}, round {round_} of {rounds}: {what}", file=sys.stderr, flush=True)


def write(folder: Path, part: Part, machine: dict[str, str]) -> None:
    """Write the part as JSON and as a chart, and rewrite `README.md` from the JSON files of all parts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part.name}.svg").write_text(chart(part.title, part.series), encoding="utf-8")
    content = {"machine": machine, **asdict(part)}
    content["series"] = [{**asdict(series), "median": series.median} for series in part.series]
    content["ratios"] = [{**asdict(ratio), "holds": ratio.holds} for ratio in part.ratios]
    (folder / f"{part.name}.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    (folder / "README.md").write_text("\n".join(_markdown(found)) + "\n", encoding="utf-8")


def _markdown(parts: Sequence[dict[str, Any]]) -> Iterable[str]:
    yield "# Benchmarks"
    yield ""
    yield "`make bench` writes this page. Servers, workers and senders share one machine. Each bar of a chart is the"
    yield "median of the rounds, and the line on it is their range."
    for part in parts:
        yield from ("", f"## {part['title']}", "", f"![{part['title']}]({part['name']}.svg)", "")
        yield from _tables(part)
        yield from (f"- {note}" for note in part["notes"])
        yield "- " + ", ".join(f"{name} {value}" for name, value in part["machine"].items())


def _tables(part: dict[str, Any]) -> Iterable[str]:
    yield "| | median | unit | rounds |"
    yield "|---|---:|---|---|"
    for series in part["series"]:
        rounds = " · ".join(map(figure, series["rounds"]))
        yield f"| {series['name']} | {figure(series['median'])} | {series['unit']} | {rounds} |"
    yield from ("", "| | measured | goal | |", "|---|---:|---:|---|")
    for ratio in part["ratios"]:
        goal = f"{ratio['sense']} {figure(ratio['goal'])} {ratio['unit']}"
        verdict = "holds" if ratio["holds"] else "**does not hold**"
        yield f"| {ratio['name']} | {figure(ratio['value'])} {ratio['unit']} | {goal} | {verdict} |"
    yield ""


def figure(value: float) -> str:
    """Write a number with at least three significant digits, and separators between thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
