"""`participation demo`."""

import sys

import typer

from participation import extras

app = typer.Typer()


@app.command(epilog="Example: participation demo")
def demo() -> None:
    """Run a simulated community on temporary servers, and print its best day. Nothing is left behind."""
    from participation.demo.run import run_demo

    extras.require("local")
    run_demo(sys.stdout)
