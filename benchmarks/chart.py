"""A bar chart as SVG: one bar for each figure, and a line from the lowest to the highest round."""

from collections.abc import Sequence
from html import escape
from typing import Protocol

WIDTH, LEFT, RIGHT, ROW, TOP = 860, 330, 130, 30, 44
COLORS = ("#1769aa", "#9db4c6")
STYLE = "text{font:13px system-ui,sans-serif;fill:#222} .title{font-weight:600;font-size:15px} .small{fill:#666}"


class Bar(Protocol):
    """A figure to draw."""

    name: str
    unit: str
    rounds: list[float]

    @property
    def median(self) -> float: ...


def chart(title: str, bars: Sequence[Bar]) -> str:
    """Return the chart. Bars with the same unit have the same scale. The first of each unit has the darker colour."""
    height = TOP + ROW * len(bars) + 14
    units = list(dict.fromkeys(bar.unit for bar in bars))
    most = {unit: max(max(bar.rounds) for bar in bars if bar.unit == unit) or 1 for unit in units}
    first = {unit: next(bar for bar in bars if bar.unit == unit) for unit in units}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" class="title">{escape(title)}</text>',
    ]
    for place, bar in enumerate(bars):
        scale = (WIDTH - LEFT - RIGHT) / most[bar.unit]
        lines += _bar(bar, TOP + ROW * place, scale, COLORS[bar is not first[bar.unit]])
    return "\n".join([*lines, "</svg>", ""])


def _bar(bar: Bar, y: int, scale: float, color: str) -> list[str]:
    length, low, high = (scale * value for value in (bar.median, min(bar.rounds), max(bar.rounds)))
    middle = y + ROW // 2 - 3
    value = f"{bar.median:,.0f}" if bar.median >= 100 else f"{bar.median:.3g}"
    return [
        f'<text x="{LEFT - 10}" y="{middle + 4}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect x="{LEFT}" y="{y + 2}" width="{max(length, 1):.1f}" height="{ROW - 10}" fill="{color}"/>',
        f'<path d="M{LEFT + low:.1f} {middle}H{LEFT + high:.1f}" stroke="#222" stroke-width="1.5"/>',
        f'<text x="{LEFT + max(length, high) + 8:.1f}" y="{middle + 4}">{value} '
        f'<tspan class="small">{escape(bar.unit)}</tspan></text>',
    ]
