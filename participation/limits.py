"""The fixed limits of events, on which other programs rely, and the rule for names that people type."""

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""An event that occurred before this time is refused (fixed)."""

AHEAD: Final = timedelta(minutes=5)
"""An event further in the future is refused, by the clock of the process that decodes it (fixed)."""

METADATA_BYTES: Final = 4096
"""Maximum size of `metadata`, in bytes of UTF-8 JSON without spaces (fixed)."""

IDENTIFIER_CHARACTERS: Final = 255
"""Maximum length of an identifier, in characters (fixed)."""

NAME_CHARACTERS: Final = 255
"""Maximum length of a name of a community or a person, in characters."""

_INVISIBLE: Final = {"Cc", "Cs", "Zl", "Zp"}
"""The Unicode categories of control characters, surrogates, and separators of lines."""

_DIRECTIONS: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""The bidirectional classes of characters that reverse the text around them. They could disguise another name."""


def is_name(text: str) -> bool:
    """Return whether the text is a name: 1–255 characters, not only spaces, without control characters."""
    if not text.strip() or len(text) > NAME_CHARACTERS:
        return False
    return not any(
        unicodedata.category(each) in _INVISIBLE or unicodedata.bidirectional(each) in _DIRECTIONS for each in text
    )
