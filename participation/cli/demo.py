"""`participation demo`."""

import sys

import typer

from participation import extras

app = typer.Typer()


@app.command(epilog="Example: participation demo")
def demo() -> None:
    """Run the whole route on a simulated community, print its best day, and leave nothing behind."""
    from participation.demo.run import run_demo

    extras.require("local")
    run_demo(sys.stdout)
