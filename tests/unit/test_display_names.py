"""Names that members chose: whatever they contain, they fit on one line and move nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from participation.display_names import clean
from participation.limits import NAME_CHARACTERS, is_name

FAMILY = "👩‍👩‍👧‍👦"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("Ada", "Ada"),
        ("  Ada \u00a0", "Ada"),
        ("Ada\0\x1b[31m\n", "Ada[31m"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("\u200fAda\u200e\u2066\u2069\u061c", "Ada"),
        ("a\u2028b\u2029c\x85d", "abcd"),
        (f"Ada {FAMILY}{ENGLAND}", f"Ada {FAMILY}{ENGLAND}"),
        ("Z" + "\u0335" * 50 + "a", "Z" + "\u0335" * 4 + "a"),
        ("<b>Ada</b> & *Ada*", "<b>Ada</b> & *Ada*"),
        ("می‌خواهم", "می‌خواهم"),
        ("", None),
        ("   ", None),
        ("\u200b\u200d\u2060\ufeff", None),
        ("\u3164\u2800", None),
        (None, None),
        ("x" * 10_000, "x" * NAME_CHARACTERS),
        ("x" * 254 + FAMILY, "x" * 254),
        ("x" * 250 + " " * 10, "x" * 250),
    ],
)
def test_clean__keeps_what_can_be_shown(name: str | None, cleaned: str | None) -> None:
    """Control and bidi characters go, graphemes stay whole, and nothing visible is no name."""
    assert clean(name) == cleaned


@given(st.text(max_size=600))
def test_clean__result_is_a_name_or_nothing(name: str) -> None:
    """Any text becomes a name that an operator could have given, or none; cleaning it again changes nothing."""
    cleaned = clean(name)
    assert cleaned is None or is_name(cleaned)
    assert clean(cleaned) == cleaned
    assert cleaned is None or not any(unicodedata.category(each) == "Cc" for each in cleaned)
