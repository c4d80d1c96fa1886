"""The fixed limits of events. Other programs rely on them."""

from datetime import UTC, datetime, timedelta
from typing import Final

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""An event before this time is refused (fixed)."""

AHEAD: Final = timedelta(minutes=5)
"""An event that is further ahead of the reader's clock is refused (fixed)."""

METADATA_BYTES: Final = 4096
"""Most bytes of `metadata`, as UTF-8 JSON without spaces (fixed)."""

IDENTIFIER_CHARACTERS: Final = 255
"""Most characters of an identifier (fixed)."""
