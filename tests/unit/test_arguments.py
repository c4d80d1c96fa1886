"""How commands read moments and words."""

from datetime import UTC, datetime

import pytest

from participation.cli.arguments import parse_moment, parse_name, parse_word
from participation.errors import ConfigError

NOW = datetime(2026, 3, 29, 12, 30, 15, 250, UTC)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("0h", NOW),
        ("24h", datetime(2026, 3, 28, 12, 30, 15, 250, UTC)),
        ("7d", datetime(2026, 3, 22, 12, 30, 15, 250, UTC)),
        ("4w", datetime(2026, 3, 1, 12, 30, 15, 250, UTC)),
        ("2026-03-29", datetime(2026, 3, 29, tzinfo=UTC)),
        ("2026-03-29T01:30:00.5+02:00", datetime(2026, 3, 28, 23, 30, 0, 500_000, UTC)),
        ("2026-03-29t01:30:00z", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ],
)
def test_parse_moment__durations_dates_and_moments(written: str, moment: datetime) -> None:
    """A duration counts back from now, a date is its first moment in UTC, a moment is itself."""
    assert parse_moment("--since", written, NOW) == moment


@pytest.mark.parametrize(
    "written",
    [
        *("", "h", "24", "24H", "-1d", "1.5h", "1 d", "1d ", "٣d", "3m", "3mo", "1y", "1d2h"),
        *("999999w", "2026-02-29", "20260329", "2026-03-29T12:00:00", "2026-03-29 12:00:00Z", "2026-13-01T00:00:00Z"),
        *("0001-01-01T00:00:00+14:00", "now", "yesterday", "\x1b[2J"),
    ],
)
def test_parse_moment__refuses_everything_else(written: str) -> None:
    """What could mean two things, or does not exist, is refused with the option's name and what to write."""
    with pytest.raises(ConfigError, match=r"^--since: .* is not a time: write a duration") as refused:
        parse_moment("--since", written, NOW)
    assert str(refused.value).isprintable()


def test_parse_word__takes_printable_text_without_spaces() -> None:
    """A code or an id that no row can hold is refused before the database is asked."""
    assert parse_word("--reason", None) is None
    assert parse_word("--reason", "invalid_event") == "invalid_event"
    for wrong in ("", "a b", "a\n", "\x00", "\udcff"):
        with pytest.raises(ConfigError, match=r"^--reason: .* is not valid"):
            parse_word("--reason", wrong)


@pytest.mark.parametrize("name", ["a", "The Harbour", "x" * 255, "Hafen 🏴\u200d☠️", "مرفأ", "a\u00a0b"])
def test_parse_name__takes_what_people_call_things(name: str) -> None:
    """Any script, and emoji that are joined from several characters."""
    assert parse_name("--name", name) == name


@pytest.mark.parametrize(
    "name", ["", "  ", "\u3000", "x" * 256, "x" * 100_000, "a\nb", "a\0", "\x1b[2J", "a\u2028", "\u202eabc", "\udcff"]
)
def test_parse_name__refuses_what_no_one_can_read(name: str) -> None:
    """Too long, blank, or with characters that control the terminal or disguise another name. The error is short."""
    with pytest.raises(ConfigError, match=r"^--name: .* is not a name: use 1–255 characters") as refused:
        parse_name("--name", name)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250
