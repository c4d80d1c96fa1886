"""Cleans the names that platforms tell. Members choose these names, so they can contain any characters."""

from typing import Final

import regex

from participation.limits import NAME_CHARACTERS

MARKS: Final = 4
"""How many combining marks in a row are kept. More would draw over the lines above and below the name."""

# Control characters, surrogates, separators of lines, and characters that change the direction of the text around them.
_REMOVED: Final = regex.compile(r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]+")
_SURPLUS_MARKS: Final = regex.compile(rf"(\p{{M}}{{{MARKS}}})\p{{M}}+")
_VISIBLE: Final = regex.compile(r"[^\s\p{Default_Ignorable_Code_Point}\u2800]")
_GRAPHEME: Final = regex.compile(r"\X")


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
