"""Points of a flush at which a process can be made to stop, so that a test can kill it exactly there.

Nothing of the package knows of them: they are hooks of SQLAlchemy and Celery. A worker loads them with
`--include=tests.failpoints`. `after_claim`: a process took a pointer. `after_copy`: all statements of a batch ran, and
COMMIT was not sent. `after_commit`: COMMIT succeeded, and the batch's list is still in Redis.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from celery.signals import task_prerun
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import Pool

from participation import keys

VARIABLE: Final = "FAILPOINT"
"""Environment variable `POINT=FILE`. Without it nothing happens."""

_LAST_STATEMENT: Final = "UPDATE ingest_batches"
_STORED: Final = "batch_stored"
_COMMITTED: Final = "batch_committed"


def reach(point: str) -> None:
    """Stop here if the environment asks for it: write the process id into the file, and go on once it is empty.

    Only the first process that comes here stops. While the file exists, others go past.
    """
    wanted, _, marker = os.environ.get(VARIABLE, "").partition("=")
    if wanted != point:
        return
    with suppress(FileExistsError, FileNotFoundError):
        with open(marker, "x", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        while Path(marker).stat().st_size > 0:
            time.sleep(0.02)


@task_prerun.connect
def _on_task(sender: Any, **_: object) -> None:
    if sender.name == keys.FLUSH_BATCH:
        reach("after_claim")


@event.listens_for(Engine, "after_cursor_execute")
def _on_statement(connection: Connection, _cursor: Any, statement: str, *_: object) -> None:
    if statement.lstrip().startswith(_LAST_STATEMENT):
        connection.info[_STORED] = True


@event.listens_for(Engine, "commit")
def _on_commit(connection: Connection) -> None:
    if connection.info.pop(_STORED, False):
        reach("after_copy")
        connection.info[_COMMITTED] = True


@event.listens_for(Engine, "rollback")
def _on_rollback(connection: Connection) -> None:
    connection.info.pop(_STORED, None)
    connection.info.pop(_COMMITTED, None)


@event.listens_for(Pool, "checkin")
def _on_checkin(dbapi_connection: object, record: Any) -> None:
    # A connection that was lost during COMMIT comes back as None.
    if record.info.pop(_COMMITTED, False) and dbapi_connection is not None:
        reach("after_commit")
