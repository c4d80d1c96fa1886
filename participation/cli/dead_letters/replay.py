"""`participation dead-letters replay`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from redis import Redis
from sqlalchemy import Engine

from participation.cli import arguments, connections
from participation.cli.dead_letters.options import Reason
from participation.cli.progress import Bars, explain_discarded
from participation.errors import ConfigError, InvalidEvent, ParticipationError
from participation.operations.replay import Replay, read_event
from participation.store.dead_letters import Choice
from participation.store.ingest.import_counts import ImportCounts
from participation.store.schema import migrate

NAMED = 20
"""How many ids of letters that were not sent are printed at most."""

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="Ids of letters, as `list` shows them.")]


def replay(
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="All letters that were not sent again.")] = False,
    reason: Reason = None,
    event_file: Annotated[
        Path | None,
        typer.Option("--event", metavar="FILE", help="Send the event in this file instead. Use - for standard input."),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until the events are stored.")] = False,
) -> None:
    """Send dead letters again (by ids, by reason, or all), and wait until their events are stored.

    They go through the queue and a worker like live events. An event that is still wrong becomes a new dead letter. A
    letter that was sent is marked, and is not sent again. A message that was cut off is not sent, unless --event
    repairs it. Repeating the command is safe: events that are stored already count as duplicates. Exit code 1: a letter
    was not sent, or an event became a dead letter again.
    """
    choice = _choice(ids, every, reason)
    if event_file is not None and len(choice.ids or ()) != 1:
        raise ConfigError("--event repairs one letter: give its id, for example `replay 22 --event event.json`")
    repaired = None if event_file is None else _repaired(event_file)
    with connections.database() as engine, connections.redis() as redis:
        migrate.check(engine)
        with Bars(None) as bars:
            state = Replay(choice, lambda now: bars.published(now.sent, now.sent, now.chosen), repaired)
            _send(state, redis, engine)
            counts = None if no_wait else bars.wait(engine, state.import_id, state.counted)
    typer.echo(f"chosen {state.chosen:,}   sent {state.sent:,}   left {state.left:,}")
    if counts is not None:
        typer.echo(
            f"stored {counts.stored:,}   duplicates {counts.duplicates:,}   dead again {counts.dead:,}   "
            f"sent as they came {state.as_they_came:,}"
        )
    _explain(state, counts)
    raise typer.Exit(1 if state.left or (counts is not None and counts.dead) else 0)


def _choice(ids: list[int] | None, every: bool, reason: str | None) -> Choice:
    if [bool(ids), every, reason is not None].count(True) != 1:
        raise ConfigError(
            "choose the letters in exactly one way: by ids (for example `replay 22 23`), by --reason CODE, or by --all"
        )
    return Choice(ids=tuple(sorted(set(ids))) if ids else None, reason=arguments.parse_word("--reason", reason))


def _repaired(file: Path) -> dict[str, Any]:
    try:
        return read_event(sys.stdin.buffer.read() if file == Path("-") else file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); nothing was sent") from error
    except InvalidEvent as error:
        raise ConfigError(f"{file}: {error}; nothing was sent") from error


def _send(state: Replay, redis: Redis, engine: Engine) -> None:
    try:
        state.send(redis, engine)
    except (ParticipationError, KeyboardInterrupt):
        if state.sent:
            typer.echo(
                f"{state.sent:,} of {state.chosen:,} letters were sent and marked before the command stopped", err=True
            )
        raise


def _explain(state: Replay, counts: ImportCounts | None) -> None:
    """Print on standard error which letters or events still need attention."""
    if counts is not None:
        explain_discarded(counts)
    if state.as_they_came:
        typer.echo(
            f"{state.as_they_came:,} message(s) were sent unchanged, because no event can be read from them: they "
            "become dead letters again, unless a newer version of the workers can read them",
            err=True,
        )
    if state.cut_off:
        named = ", ".join(map(str, state.cut_off[:NAMED])) + ("…" if len(state.cut_off) > NAMED else "")
        typer.echo(
            f"{len(state.cut_off):,} letter(s) were not sent, because their message was cut off: {named}; send each "
            "with `replay ID --event FILE`",
            err=True,
        )
    if elsewhere := state.left - len(state.cut_off):
        typer.echo(
            f"{elsewhere:,} letter(s) were not sent: they were sent again before, or another replay is sending them",
            err=True,
        )
    if counts is not None and counts.dead:
        typer.echo(
            f"{counts.dead:,} event(s) became new dead letters: list them with `participation dead-letters list`",
            err=True,
        )
