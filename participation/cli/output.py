"""Writing results as tables and JSON, so that no character in them can act on the terminal."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Final

OTHER: Final = re.compile(r"[^\n\x20-\x7e]")
"""A character that may not be printable."""


def escape(text: str) -> str:
    """Escape what is not printable, such as control characters and changes of direction, as \\x1b and \\u202e."""
    return OTHER.sub(_unless_printable(ascii), text).replace("\n", "\\n")


def escape_bytes(raw: bytes) -> str:
    """Write bytes as text: decoded where they are UTF-8, and escaped where they are not printable."""
    return escape(raw.decode("utf-8", "backslashreplace"))


def as_json(value: object, indent: int | None = None) -> str:
    """Write JSON on one line, or indented. What is not printable is escaped as JSON escapes it."""
    written = json.dumps(value, indent=indent, ensure_ascii=False, separators=None if indent else (",", ":"))
    return OTHER.sub(_unless_printable(json.dumps), written)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return the lines of a table, none longer than `width` characters."""
    lines = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    whole = ("  ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip() for line in lines)
    return [line if width is None or len(line) <= width else f"{line[: width - 1]}…" for line in whole]


def _unless_printable(quote: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
    return lambda found: found[0] if found[0].isprintable() else quote(found[0])[1:-1]
