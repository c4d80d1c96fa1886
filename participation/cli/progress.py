"""The progress of a command that sends events, on standard error."""

from functools import partial
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from participation.operations.import_waiting import wait_until_stored
from participation.store.ingest.import_counts import ImportCounts

HINT_SECONDS = 15.0
"""How long there is no progress before the command prints a hint."""


def explain_discarded(counts: ImportCounts) -> None:
    """Print on standard error how many events were discarded, and why."""
    reasons = {
        "of members who opted out": counts.opted_out,
        "of deleted communities": counts.deleted,
        "in ignored channels": counts.ignored,
    }
    for reason, count in reasons.items():
        if count:
            typer.echo(f"{count:,} event(s) {reason} were discarded", err=True)


class Bars:
    """Two progress bars, published and stored, with lines of text above them. size: the total of the first bar."""

    def __init__(self, size: int | None) -> None:
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[events]:>12,} events"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,  # in a file, the bars would leave an empty line
        )
        self.publishing = self._bar("published", size)
        self.hinted = False

    def _bar(self, description: str, total: int | None) -> TaskID:
        return self.progress.add_task(description, total=total, events=0)

    def __enter__(self) -> "Bars":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def published(self, done: int, accepted: int, size: int | None = None) -> None:
        """Update the first bar. done: the part of its total. accepted: the number of events beside it."""
        self.progress.update(self.publishing, completed=done, events=accepted, total=size)

    def wait(self, engine: Engine, import_id: UUID, accepted: int) -> ImportCounts:
        """Wait until all accepted events are stored, duplicates, dead or opted out; return the counts."""
        storing = self._bar("stored", accepted)
        try:
            return wait_until_stored(engine, import_id, accepted, partial(self._stored, storing))
        except KeyboardInterrupt:
            typer.echo(
                f"interrupted: the {accepted:,} accepted events are in the queue, and workers will store them",
                err=True,
            )
            raise

    def _stored(self, storing: TaskID, counts: ImportCounts, unchanged_seconds: float) -> None:
        self.progress.update(storing, completed=counts.done, events=counts.done)
        if unchanged_seconds > HINT_SECONDS and not self.hinted:
            self.hinted = True
            self.say(
                f"no event was stored for {HINT_SECONDS:.0f} s: is a worker running (`participation status`)? Still "
                "waiting; Ctrl-C leaves the events in the queue."
            )
