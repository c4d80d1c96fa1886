"""Results as tables and JSON, with every character escaped that could control the terminal."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Final

from rich.cells import cell_len

from participation.display_names import cut_off

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
    """Return the lines of a table, none wider than `width` columns of a terminal."""
    lines = [titles, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    whole = ("  ".join(map(pad, line, widths)).rstrip() for line in lines)
    return [line if width is None else cut_off(line, width) for line in whole]


def pad(cell: str, width: int) -> str:
    """Fill up with spaces to a width in columns of a terminal. Some characters take two columns, others none."""
    return cell + " " * (width - cell_len(cell))


def _escape_unless_printable(quote: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
    return lambda found: found[0] if found[0].isprintable() else quote(found[0])[1:-1]
