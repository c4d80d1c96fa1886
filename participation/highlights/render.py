"""⑦ A digest as text for a terminal or a mail, and as JSON for programs."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

import orjson

from participation.highlights.digest import Digest, Member

TOP: Final = 3
"""How many members a line names by their counts."""

NAMED: Final = 5
"""How many members a line of people names before it counts the rest."""

STREAK_DAYS: Final = 3
"""From how many days on a streak is worth a word."""

LABEL_WIDTH: Final = 18


def as_json(value: Digest | Sequence[Digest]) -> str:
    """Return a digest as a JSON object, several as an array of them; the fields are those of `Digest`."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def as_text(digest: Digest) -> str:
    """Return the digest as about twelve lines of plain text."""
    return "\n".join([*_title(digest), "", *_body(digest)])


def _title(digest: Digest) -> list[str]:
    name = _plain(digest.name or digest.community_id)
    title = f"{name} · {digest.highlight_date:%A %d %B %Y} · {digest.timezone}"
    return [title, "─" * len(title)]


def _body(digest: Digest) -> Iterable[str]:
    if digest.computed_at is None:
        return ["Nothing was counted on this day."]
    tops = ["", *_tops(digest)]
    return [*_figures(digest), "", *_people(digest), *(tops if len(tops) > 1 else [])]


def _figures(digest: Digest) -> Iterable[str]:
    for label, figure in _FIGURES:
        usual = None if digest.usual is None else figure(digest.usual)
        yield _line(label, _compared(figure(digest), usual))
    yield _line("Joined / left", f"{digest.members_joined:>9,} / {digest.members_left:,}")
    if digest.peak_hour is not None:
        yield _line("Peak hour", f"{digest.peak_hour:>6}:00–{(digest.peak_hour + 1) % 24}:00")


_FIGURES: Final[Sequence[tuple[str, Callable[[object], float]]]] = (
    ("Active members", attrgetter("active_members")),
    ("Messages", attrgetter("message_count")),
    ("Reactions", attrgetter("reaction_count")),
    ("Voice minutes", attrgetter("voice_minutes")),
)


def _compared(value: float, usual: float | None) -> str:
    if usual is None:
        return f"{value:>9,}"
    share = f"{round(100 * (value / usual - 1)):+,}% " if usual else ""
    return f"{value:>9,}   {share}(usual {usual:,.0f})"


def _people(digest: Digest) -> Iterable[str]:
    members = digest.members
    yield _line("New", _names(m.member_id for m in members if m.newcomer))
    yield _line("Came back", _names(m.member_id for m in members if m.returned))
    yield _line("Gone quiet", _names(digest.gone_quiet))
    runs = sorted(members, key=lambda m: (-m.streak_days, m.member_id))
    yield _line("Streaks", _names(f"{m.member_id} {m.streak_days} days" for m in runs if m.streak_days >= STREAK_DAYS))


def _tops(digest: Digest) -> Iterable[str]:
    for label, count, unit in _TOPS:
        best = sorted(digest.members, key=lambda m: (-count(m), m.member_id))[:TOP]
        named = [f"{_plain(m.member_id)} {count(m):,}{unit}" for m in best if count(m)]
        if named:
            yield _line(label, " · ".join(named))


_TOPS: Final[Sequence[tuple[str, Callable[[Member], int], str]]] = (
    ("Top messages", attrgetter("message_count"), ""),
    ("Top received", attrgetter("reactions_received"), ""),
    ("Top voice", attrgetter("voice_minutes"), " min"),
    ("Top reputation", attrgetter("reputation_earned"), ""),
)


def _names(names: Iterable[str]) -> str:
    known = [_plain(name) for name in names]
    rest = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return ", ".join(known[:NAMED]) + rest if known else "nobody"


def _line(label: str, value: str) -> str:
    return f"{label:<{LABEL_WIDTH}}{value}"


def _plain(name: str) -> str:
    """Return the name without what could move a terminal's cursor or break the line."""
    return "".join(char if char.isprintable() else "�" for char in name)
