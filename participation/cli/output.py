"""Results as tables and JSON, with every character escaped that could control the terminal."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Final

_NOT_ASCII: Final = re.compile(r"[^\n\x20-\x7e]")
"""Characters that may need an escape: all except line ends and printable ASCII."""


def escape(text: str) -> str:
    """Escape characters that are not printable, such as control characters and marks of text direction."""
    return _NOT_ASCII.sub(_escape_unless_printable(ascii), text).replace("\n", "\\n")


def escape_bytes(raw: bytes) -> str:
    """Decode UTF-8. Escape other bytes, and characters that are not printable."""
    return escape(raw.decode("utf-8", "backslashreplace"))


def as_json(value: object, indent: int | None = None) -> str:
    """Write JSON on one line, or indented. Characters that are not printable are escaped, for example \\u001b."""
    written = json.dumps(value, indent=indent, ensure_ascii=False, separators=None if indent else (",", ":"))
    return _NOT_ASCII.sub(_escape_unless_printable(json.dumps), written)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return the lines of a table, none longer than `width` characters."""
    lines = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    whole = ("  ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip() for line in lines)
    return [line if width is None or len(line) <= width else f"{line[: width - 1]}…" for line in whole]


def _escape_unless_printable(quote: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
    return lambda found: found[0] if found[0].isprintable() else quote(found[0])[1:-1]
