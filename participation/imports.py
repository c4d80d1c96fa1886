"""Importing history: NDJSON files through the same queue and the same workers as live events."""

import gzip
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol
from uuid import UUID, uuid4

import orjson
from redis import Redis

from participation import event, message
from participation.errors import ConfigError, InvalidEvent, Unavailable
from participation.publish import bulk

LINE_BYTES: Final = 1_048_576
"""Longest line that is read whole; an event is below 16 KiB."""

RETRY_SECONDS: Final = 60.0
"""How long an import goes on trying while Redis is away."""


class _Readable(Protocol):
    def readline(self, size: int, /) -> bytes: ...


class Line(NamedTuple):
    """One line of a file, or what became unreadable there: `error` says why, and `text` is empty then."""

    file: str
    number: int
    text: bytes
    error: str | None


class Import:
    """Sends events, and remembers how many, so that their fate can be told from that of all others.

    on_progress: called after every round trip.
    """

    def __init__(self, redis: Redis, on_progress: Callable[["Import"], None]) -> None:
        self.import_id: UUID = uuid4()
        self.accepted = 0
        self.refused = 0
        self.bytes_read = 0
        self._redis = redis
        self._on_progress = on_progress
        self._chunk: list[bytes] = []

    def add(self, value: object) -> None:
        """Send an event soon. Raises `InvalidEvent`, or `Unavailable` when Redis stays away."""
        self._chunk.append(message.wrap(event.to_json(event.decode(value)), self.import_id))
        if len(self._chunk) >= bulk.CHUNK:
            self.finish()

    def finish(self) -> None:
        """Send what was added and not sent yet."""
        if not self._chunk:
            return
        bulk.make_room(self._redis, lambda: self._on_progress(self))
        self._send()
        self.accepted += len(self._chunk)
        self._chunk.clear()
        self._on_progress(self)

    def _send(self) -> None:
        """Send the chunk; when Redis went away meanwhile, ask whether it has the chunk before trying again."""
        deadline = time.monotonic() + RETRY_SECONDS
        last = str(self.accepted + len(self._chunk))
        repeated = False
        while True:
            try:
                if repeated and bulk.progress(self._redis, self.import_id) == last:
                    return None
                return bulk.send(self._redis, self._chunk, self.import_id, last)
            except Unavailable:
                if time.monotonic() > deadline or not self.accepted:
                    raise
                repeated = True
                time.sleep(1)


def check(files: Sequence[Path]) -> int | None:
    """Return the size of all files in bytes, None where standard input or a pipe is among them.

    Raises `ConfigError` for a file that cannot be read, before anything is sent.
    """
    for file in files:
        if file != Path("-"):
            _check_readable(file)
    return sum(file.stat().st_size for file in files) if all(file.is_file() for file in files) else None


def _check_readable(file: Path) -> None:
    try:
        # A pipe is not opened to see whether it can be: its writer would take the end of that for the end of us.
        if file.is_fifo():
            return
        file.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); nothing was imported") from error


def send_files(
    target: Import, files: Sequence[Path], standard_input: IO[bytes], on_refused: Callable[[Line, str], None]
) -> None:
    """Send every event of the files; call `on_refused` with each line that is none and the reason.

    Memory does not grow with the files, nor does the queue. Raises `Unavailable` when Redis stays away.
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
            if begins and text.strip():
                error = None if whole else f"must be at most {LINE_BYTES:,} bytes long"
                yield Line(name, number, text if whole else b"", error)
            target.bytes_read = before + position()
    except (OSError, EOFError, zlib.error) as error:
        yield Line(name, number + 1, b"", f"must be readable; the rest of the file is damaged ({error})")
