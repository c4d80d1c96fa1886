"""Cleans the names that platforms tell, compares them, and prepares them for a terminal.

Members choose these names, so they can contain any characters.
"""

import unicodedata
from typing import Final

import regex
from rich.cells import cell_len

from participation.limits import NAME_CHARACTERS

MARKS: Final = 4
"""How many combining marks in a row are kept. More would draw over the lines above and below the name."""

# Control characters, surrogates, separators of lines, and characters that change the direction of the text around them.
_REMOVED: Final = regex.compile(r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]+")
_SURPLUS_MARKS: Final = regex.compile(rf"(\p{{M}}{{{MARKS}}})\p{{M}}+")
_VISIBLE: Final = regex.compile(r"[^\s\p{Default_Ignorable_Code_Point}\u2800]")
_GRAPHEME: Final = regex.compile(r"\X")
_IGNORED: Final = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Cf}]+")

# Joiners belong to emoji, and to words in Persian and in scripts of India. Tags belong to some flags.
_JOINED: Final = r"(?<=[^\s\p{C}])[\u200c\u200d](?=[^\s\p{C}])|\U0001F3F4[\U000E0020-\U000E007E]+\U000E007F"
_UNPRINTABLE: Final = regex.compile(rf"(?P<kept>{_JOINED})|[\p{{C}}\p{{Zl}}\p{{Zp}}]")
_INVISIBLE: Final = regex.compile(rf"(?P<kept>{_JOINED})|\p{{Cf}}")

_RIGHT_TO_LEFT: Final = {"R", "AL", "AN"}
"""The bidirectional classes of letters and digits that are written from right to left."""

LEFT_TO_RIGHT: Final = "\u200e"
"""An invisible character. Without it, text from right to left swaps places with a number or a name beside it."""


def clean(name: str | None) -> str | None:
    """Return the name without control and bidi characters, at most 255 characters long; None if nothing is left.

    It is cut between graphemes, so an emoji of several characters is kept whole or left out.
    """
    if name is None:
        return None
    text = _SURPLUS_MARKS.sub(r"\1", _REMOVED.sub("", name)).strip()
    text = _cut(text).rstrip()
    return text if _VISIBLE.search(text) else None


def _cut(text: str) -> str:
    if len(text) <= NAME_CHARACTERS:
        return text
    end = 0
    for grapheme in _GRAPHEME.finditer(text[: 2 * NAME_CHARACTERS]):
        if grapheme.end() > NAME_CHARACTERS:
            break
        end = grapheme.end()
    return text[: end or NAME_CHARACTERS]


def key(name: str) -> str:
    """Return what equal names have in common: upper and lower case, width and invisible characters do not matter."""
    if name.isascii():
        return " ".join(name.lower().split())
    plain = _IGNORED.sub("", unicodedata.normalize("NFKC", name))
    return " ".join(unicodedata.normalize("NFKC", plain.casefold()).split())


def shorten(name: str, cells: int) -> str:
    """Return the name without invisible characters, cut off if a terminal needs more than `cells` columns for it."""
    return cut_off(_INVISIBLE.sub(lambda found: found["kept"] or "", name), cells)


def cut_off(text: str, cells: int) -> str:
    """Cut text off between graphemes, with an ellipsis, if it is wider than `cells` columns of a terminal."""
    if cell_len(text) <= cells:
        return text
    end = width = 0
    for grapheme in _GRAPHEME.finditer(text):
        width += cell_len(grapheme[0])
        if width > cells - 1:
            break
        end = grapheme.end()
    return f"{text[:end]}…"


def printable(text: str) -> str:
    """Return text that cannot act on a terminal: characters that are not printable are replaced.

    Text from right to left is put between marks, so that what stands beside it keeps its place.
    """
    safe = _UNPRINTABLE.sub(lambda found: found["kept"] or "�", text)
    if any(unicodedata.bidirectional(each) in _RIGHT_TO_LEFT for each in safe):
        return f"{LEFT_TO_RIGHT}{safe}{LEFT_TO_RIGHT}"
    return safe
