"""What the commands for dead letters share: options, and the format of times."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

MOMENT: Final = "a duration before now (24h, 7d, 4w), a date (in UTC) or an RFC 3339 time"

Reason = Annotated[
    str | None, typer.Option(metavar="CODE", help="Only letters with this reason, such as invalid_event or rejected.")
]


def format_moment(moment: datetime | None) -> str:
    """Format a time in UTC. Returns an empty text for None."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
