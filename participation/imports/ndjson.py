"""Import of NDJSON files: one event per line."""

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

import orjson

from participation.errors import ConfigError, InvalidEvent
from participation.imports.sender import Import

LINE_BYTES: Final = 1_048_576
"""Maximum length of a line. An event is smaller than 16 KiB."""


NOT_UTF_8: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"{\0", b"\0{", b"\0\0\0{", b"\0\0\xfe\xff")
"""How a file with JSON in UTF-16 or UTF-32 begins, with and without a byte order mark."""


class _Readable(Protocol):
    def readline(self, size: int, /) -> bytes: ...


class Line(NamedTuple):
    """One line of a file. If it cannot be read, `error` says why, and `text` is empty."""

    file: str
    number: int
    text: bytes
    error: str | None


def check_files(files: Sequence[Path]) -> int | None:
    """Return the size of all files in bytes, or None if standard input or a pipe is among them.

    Raises `ConfigError` for a file that cannot be read, before anything is sent.
    """
    for file in files:
        if file != Path("-"):
            _check_readable(file)
    return sum(file.stat().st_size for file in files) if all(file.is_file() for file in files) else None


def _check_readable(file: Path) -> None:
    try:
        # A pipe is not opened here: if it is closed again, its writer gets an error.
        if file.is_fifo():
            return
        file.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); nothing was imported") from error


def send_files(
    target: Import, files: Sequence[Path], standard_input: IO[bytes], on_refused: Callable[[Line, str], None]
) -> None:
    """Send every event of the files; call `on_refused` with each line that is not an event, and the reason.

    Reads line by line, so memory does not grow with the files. Pauses while the queue is long. Raises `Unavailable` if
    Redis does not answer for a long time.
    """
    for line in _lines(files, standard_input, target):
        try:
            target.add(_value(line))
        except InvalidEvent as error:
            target.refused += 1
            on_refused(line, str(error))
    target.finish()


def _value(line: Line) -> object:
    if line.error is not None:
        raise InvalidEvent("line", line.error)
    try:
        return orjson.loads(line.text)
    except orjson.JSONDecodeError as error:
        raise InvalidEvent("line", f"must be one JSON object ({error})") from error


def _lines(files: Sequence[Path], standard_input: IO[bytes], target: Import) -> Iterator[Line]:
    for file in files:
        if file == Path("-"):
            yield from _lines_of("-", standard_input, lambda: 0, target)
            continue
        with file.open("rb") as raw, gzip.GzipFile(fileobj=raw) if file.suffix == ".gz" else raw as unpacked:
            yield from _lines_of(str(file), unpacked, raw.tell if raw.seekable() else lambda: 0, target)


def _lines_of(name: str, source: _Readable, position: Callable[[], int], target: Import) -> Iterator[Line]:
    before, number, whole = target.bytes_read, 0, True
    try:
        while text := source.readline(LINE_BYTES):
            begins, whole = whole, text.endswith(b"\n") or len(text) < LINE_BYTES
            number += begins
            if begins and number == 1 and text.startswith(NOT_UTF_8):
                yield Line(name, 1, b"", "must be UTF-8, but the file is UTF-16 or UTF-32; save it again as UTF-8")
                return
            # Not only in the first line: files that were put together have a byte order mark at the start of each.
            text = text.removeprefix(codecs.BOM_UTF8)
            if begins and text.strip():
                error = None if whole else f"must be at most {LINE_BYTES:,} bytes long"
                yield Line(name, number, text if whole else b"", error)
            target.bytes_read = before + position()
    except (OSError, EOFError, zlib.error) as error:
        yield Line(name, number + 1, b"", f"must be readable; the rest of the file is damaged ({error})")
