"""What commands write: tables and JSON that cannot act on a terminal."""

import json

from participation.cli.output import as_json, escape, escape_bytes, table

HOSTILE = "".join(map(chr, [*range(0x300), 0x200B, 0x2028, 0x202E, 0xFEFF, 0xE000, 0xE0001, 0x1F44D]))


def test_plain__escapes_what_is_not_printable() -> None:
    """Control characters, changes of direction and line ends become escapes; letters and emoji stay."""
    assert escape("a\x1b[2J\r\n\t\x7f\x9b\u202e\U000e0001 é👍") == r"a\x1b[2J\r\n\t\x7f\x9b\u202e\U000e0001 é👍"
    assert escape(HOSTILE).isprintable()


def test_plain_bytes__text_where_it_is_text() -> None:
    """Bytes that are no UTF-8 are written by their numbers, the text around them as text."""
    assert escape_bytes(b"\xffabc\xc3\xa9\x00\n\xed\xa0\x80") == r"\xffabcé\x00\n\xed\xa0\x80"
    assert escape_bytes(bytes(range(256))).isprintable()


def test_as_json__means_the_same_and_is_printable() -> None:
    """Reading it back gives the value; no character of it, but for the line ends of the indented form, can act."""
    value = {HOSTILE: [HOSTILE, 1.5, None, {"a": "\n"}]}
    assert json.loads(as_json(value)) == value
    assert as_json(value).isprintable()
    assert json.loads(as_json(value, indent=2)) == value
    assert as_json(value, indent=2).replace("\n", "").isprintable()
    assert as_json({"a": ["é👍", 1], "b": {}}) == '{"a":["é👍",1],"b":{}}'


def test_table__columns_are_as_wide_as_they_need_and_lines_end_in_time() -> None:
    """Cells stand below their titles; what does not fit the width is cut off, with a sign that it is."""
    rows = [("1", "a"), ("1000", "a longer one")]
    assert table(("id", "text"), rows) == ["id    text", "1     a", "1000  a longer one"]
    assert table(("id", "text"), rows, 14) == ["id    text", "1     a", "1000  a longe…"]
    assert table(("id", "text"), []) == ["id  text"]


def test_table__columns_are_measured_as_a_terminal_does() -> None:
    """A wide character takes two columns, an emoji of several characters as well, and a combining mark none."""
    rows = [("明日", "a"), ("👩‍👩‍👧‍👦", "b"), ("Z\u0335", "c")]
    assert table(("name", "text"), rows) == ["name  text", "明日  a", "👩‍👩‍👧‍👦    b", "Z\u0335     c"]
    assert table(("n", "t"), [("明" * 10, "x")], 6) == [f"n{' ' * 4}…", "明明…"]
