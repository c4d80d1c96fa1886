"""⑦ A digest as about twelve lines of plain text, for a terminal or a mail."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len

from participation.display_names import printable
from participation.highlights.summary import Figure, Ranked, Summary

NAMED: Final = 5
"""How many members a line names before it counts the rest."""

LABEL_WIDTH: Final = 18

WIDTH: Final = 80
"""A line that names several members continues below, with the next member, if it would be wider than this."""

_FIGURES: Final = {
    "active_members": "Active members",
    "message_count": "Messages",
    "reaction_count": "Reactions",
    "voice_minutes": "Voice minutes",
}

_RANKINGS: Final = {
    "message_count": ("Top messages", ""),
    "reactions_received": ("Top received", ""),
    "voice_minutes": ("Top voice", " min"),
    "reputation_earned": ("Top reputation", ""),
}
"""The label of each ranking, and the unit of its values."""


def render_text(summary: Summary) -> str:
    """Return the summary as text. Characters that could change the terminal's output are replaced."""
    return "\n".join([*_title(summary), "", *_body(summary)])


def _title(summary: Summary) -> list[str]:
    title = f"{printable(summary.title)} · {summary.highlight_date:%A %d %B %Y} · {summary.timezone}"
    return [title, "─" * cell_len(title)]


def _body(summary: Summary) -> Iterable[str]:
    if not summary.is_counted:
        return ["Nothing was counted on this day."]
    rankings = list(_rankings(summary))
    return [*_figures(summary), "", *_people(summary), *(["", *rankings] if rankings else [])]


def _figures(summary: Summary) -> Iterable[str]:
    for figure in summary.figures:
        yield _line(_FIGURES[figure.name], _compared(figure))
    yield _line("Joined / left", f"{summary.members_joined:>9,} / {summary.members_left:,}")
    if summary.peak_hour is not None:
        yield _line("Peak hour", f"{summary.peak_hour:>6}:00–{(summary.peak_hour + 1) % 24}:00")


def _compared(figure: Figure) -> str:
    if figure.usual is None:
        return f"{figure.value:>9,}"
    share = f"{round(100 * (figure.value / figure.usual - 1)):+,}% " if figure.usual else ""
    return f"{figure.value:>9,}   {share}(usual {figure.usual:,.0f})"


def _people(summary: Summary) -> Iterable[str]:
    yield _members("New", map(printable, summary.newcomers))
    yield _members("Came back", map(printable, summary.returned))
    yield _members("Gone quiet", map(printable, summary.gone_quiet))
    yield _members("Streaks", (f"{printable(each.name)} {each.value} days" for each in summary.streaks))


def _rankings(summary: Summary) -> Iterable[str]:
    for name, ranking in summary.rankings.items():
        if ranking:
            label, unit = _RANKINGS[name]
            yield _list(label, [_ranked(each, unit) for each in ranking], " ·")
    if summary.channels:
        yield _list("Top channels", [_ranked(each, " active") for each in summary.channels], " ·")


def _ranked(each: Ranked, unit: str) -> str:
    return f"{printable(each.name)} {each.value:,}{unit}"


def _members(label: str, members: Iterable[str]) -> str:
    """Return a line that names the first members and counts the rest."""
    named = list(members)
    shown = named[:NAMED] or ["nobody"]
    if len(named) > NAMED:
        shown[-1] += f" and {len(named) - NAMED} more"
    return _list(label, shown, ",")


def _list(label: str, items: Sequence[str], separator: str) -> str:
    """Return a line with these items. If it would be too wide, it continues below the first item."""
    lines = [""]
    for item in (*(f"{each}{separator}" for each in items[:-1]), items[-1]):
        if lines[-1] and LABEL_WIDTH + cell_len(f"{lines[-1]} {item}") > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {item}".lstrip()
    return _line(label, f"\n{' ' * LABEL_WIDTH}".join(lines))


def _line(label: str, value: str) -> str:
    return f"{label:<{LABEL_WIDTH}}{value}"
