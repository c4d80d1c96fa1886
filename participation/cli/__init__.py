"""The command line: `participation --help`. Commands are thin: they call the other packages and print the result."""

import gc
import sys
from typing import NoReturn

from participation import extras
from participation.errors import ParticipationError

WRONG = 2
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line. Errors are one line on standard error, with exit code 2."""
    # A command loads thousands of objects that stay. Looking for garbage among them takes a tenth of its start.
    gc.set_threshold(100_000)
    try:
        extras.require("server")
        from participation.cli.app import run

        code = run(sys.argv[1:] or ["--help"])
    except ParticipationError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        sys.exit(WRONG)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The program that reads our output has ended, so the rest cannot be written.
        sys.stdout = None
        sys.exit(1)
    sys.exit(code)
