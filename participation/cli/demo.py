"""`participation demo`."""

import sys

from participation import extras
from participation.cli.group import command_group

app = command_group()


@app.command(epilog="Example: participation demo")
def demo() -> None:
    """Run a simulated community on temporary servers, and print its best day. Nothing is left behind."""
    from participation.demo.run import run_demo

    extras.require("local")
    run_demo(sys.stdout)
