"""The command line: `participation --help`. Commands are thin: they call the other packages and print the result."""

import codecs
import gc
import json
import sys
from io import TextIOWrapper
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
        _print_every_character()
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


def _print_every_character() -> None:
    """Write characters that the encoding of the output does not have as escapes of JSON, for example \\u00e9.

    Then text can be read, and JSON stays JSON.
    """
    codecs.register_error("participation.escape", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="participation.escape")


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
