"""⑦ A digest as about twelve lines of plain text, for a terminal or a mail."""

from collections.abc import Iterable, Sequence
from typing import Final

from participation.highlights.summary import Figure, Ranked, Summary

NAMED: Final = 5
"""How many members a line names before it counts the rest."""

LABEL_WIDTH: Final = 18

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
    """Return the summary as text. Control characters, which could change the terminal's output, are replaced."""
    return "\n".join([*_title(summary), "", *_body(summary)])


def _title(summary: Summary) -> list[str]:
    title = f"{_printable(summary.title)} · {summary.highlight_date:%A %d %B %Y} · {summary.timezone}"
    return [title, "─" * len(title)]


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
    yield _line("New", _names(summary.newcomers))
    yield _line("Came back", _names(summary.returned))
    yield _line("Gone quiet", _names(summary.gone_quiet))
    yield _line("Streaks", _names([f"{each.member_id} {each.value} days" for each in summary.streaks]))


def _rankings(summary: Summary) -> Iterable[str]:
    for name, ranking in summary.rankings.items():
        if ranking:
            label, unit = _RANKINGS[name]
            yield _line(label, " · ".join(_ranked(each, unit) for each in ranking))


def _ranked(each: Ranked, unit: str) -> str:
    return f"{_printable(each.member_id)} {each.value:,}{unit}"


def _names(names: Sequence[str]) -> str:
    if not names:
        return "nobody"
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(_printable, names[:NAMED])) + rest


def _line(label: str, value: str) -> str:
    return f"{label:<{LABEL_WIDTH}}{value}"


def _printable(name: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in name)
