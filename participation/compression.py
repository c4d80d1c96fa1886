"""The compressions that Celery clients use for a message's body, and the limits of what is unpacked."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, Protocol

UNPACKED_BYTES: Final = 1_048_576
"""Most bytes to which a compressed body may unpack. An event is below 16 KiB."""

LZMA_BYTES: Final = 134_217_728
"""Most memory that unpacking may take. LZMA takes what the message asks for, 65 MiB at its strongest preset."""

ERRORS: Final = (zlib.error, OSError, lzma.LZMAError)
"""What the decompressors raise for damaged data."""


class Decompressor(Protocol):
    """What unpacks a body. The decompressors of zlib, bz2 and lzma have this in common."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Codec(NamedTuple):
    """A compression: its name in a message, the bytes with which its data can begin, and what unpacks it."""

    content_type: str
    starts: tuple[bytes, ...]
    decompressor: Callable[[], Decompressor]


CODECS: Final = (
    Codec("application/x-gzip", (b"\x78",), zlib.decompressobj),  # kombu calls the format of zlib so
    Codec("application/x-bz2", (b"BZh",), bz2.BZ2Decompressor),
    Codec("application/x-lzma", (b"\xfd7zXZ", b"\x5d\x00\x00"), partial(lzma.LZMADecompressor, memlimit=LZMA_BYTES)),
)
