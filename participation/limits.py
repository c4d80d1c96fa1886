"""The fixed limits of events. Other programs rely on them."""

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
