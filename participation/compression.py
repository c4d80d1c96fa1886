"""The compressions that Celery clients use for a message's body, and the limits for unpacking."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, Protocol

UNPACKED_BYTES: Final = 1_048_576
"""Maximum size of an unpacked body. An event is smaller than 16 KiB."""

LZMA_BYTES: Final = 134_217_728
"""Maximum memory for unpacking. With LZMA, the message decides how much: 65 MiB at the strongest preset."""

ERRORS: Final = (zlib.error, OSError, lzma.LZMAError)
"""The errors that the decompressors raise for damaged data."""


class Decompressor(Protocol):
    """An object that unpacks a body. zlib, bz2 and lzma have such objects."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Codec(NamedTuple):
    """A compression: its name in a message, the bytes with which its data can begin, and its decompressor."""

    content_type: str
    starts: tuple[bytes, ...]
    decompressor: Callable[[], Decompressor]


CODECS: Final = (
    Codec("application/x-gzip", (b"\x78",), zlib.decompressobj),  # kombu's name for the format of zlib
    Codec("application/x-bz2", (b"BZh",), bz2.BZ2Decompressor),
    Codec("application/x-lzma", (b"\xfd7zXZ", b"\x5d\x00\x00"), partial(lzma.LZMADecompressor, memlimit=LZMA_BYTES)),
)
