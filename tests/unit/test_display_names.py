"""Names that members chose: whatever they contain, they fit on one line and move nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from participation.display_names import clean, key, printable, shorten
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


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "aDA"), ("Ada", "A\u200bd\u00ada"), ("Ada", "Ａｄａ"), ("Straße", "STRASSE"), ("a b", " a\u3000 b ")],
)
def test_key__is_that_of_names_that_look_the_same(one: str, other: str) -> None:
    """Case, width and invisible characters do not matter; accents do."""
    assert key(one) == key(other)
    assert key(one) != key(f"{one}\u0301")


@pytest.mark.parametrize(
    ("name", "cells", "shown"),
    [
        ("Ada", 3, "Ada"),
        ("Adam", 3, "Ad…"),
        ("明日明日", 5, "明日…"),
        ("明日明日", 4, "明…"),
        ("👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 3, "👩‍👩‍👧‍👦…"),
        ("A\u200bda\ufeff", 3, "Ada"),
    ],
)
def test_shorten__cuts_between_graphemes(name: str, cells: int, shown: str) -> None:
    """The result is at most that wide in a terminal, and invisible characters are gone."""
    assert shorten(name, cells) == shown
    assert cell_len(shorten(name, cells)) <= cells


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2J\n\u202e\x85\ufeff\u2066", "a�[2J�����"),
        ("👩‍👩‍👧‍👦 ❤️ 🏴\U000e0067\U000e0062\U000e007f", "👩‍👩‍👧‍👦 ❤️ 🏴\U000e0067\U000e0062\U000e007f"),
        ("\u200da\u200d \U000e0067", "�a� �"),
        ("نو\u200cر", "\u200eنو\u200cر\u200e"),
        ("Ada אבג", "\u200eAda אבג\u200e"),
    ],
)
def test_printable__keeps_emoji_and_the_order_of_what_follows(text: str, shown: str) -> None:
    """What acts on a terminal is replaced; text from right to left is put between marks."""
    assert printable(text) == shown
