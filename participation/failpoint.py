"""Points in the flush at which a process can be made to stop, so that the fault tests can kill it exactly there."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

VARIABLE: Final = "PARTICIPATION_FAILPOINT"
"""Environment variable `POINT=FILE`. Unset, as ever outside of tests, nothing happens."""


def reach(point: str) -> None:
    """Stop here if the environment asks for it: write the process id into the file, and go on once that is empty.

    Only the first process that comes here stops; as long as the file is there, others go past.
    """
    wanted, _, marker = os.environ.get(VARIABLE, "").partition("=")
    if wanted != point:
        return
    with suppress(FileExistsError, FileNotFoundError):
        with open(marker, "x", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        while Path(marker).stat().st_size > 0:
            time.sleep(0.02)
