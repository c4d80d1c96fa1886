"""Waiting until the workers have stored the events of an import or a replay."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

from sqlalchemy import Engine

from participation.errors import Unavailable
from participation.store.database import transaction
from participation.store.ingest.import_counts import ImportCounts, read_import_counts

POLL_SECONDS: Final = 0.2


def wait_until_stored(
    engine: Engine, import_id: UUID, accepted: int, on_progress: Callable[[ImportCounts, float], None]
) -> ImportCounts:
    """Wait until all accepted events are stored, duplicates, dead or opted out; return the counts.

    Calls `on_progress` with the counts so far and the seconds since they last changed. Keeps waiting while PostgreSQL
    restarts.
    """
    before, changed_at = None, time.monotonic()
    counts = ImportCounts(0, 0, 0)
    while True:
        with suppress(Unavailable), transaction(engine) as connection:
            counts = read_import_counts(connection, import_id)
        if counts.done >= accepted:
            return counts
        if counts != before:
            before, changed_at = counts, time.monotonic()
        on_progress(counts, time.monotonic() - changed_at)
        time.sleep(POLL_SECONDS)
