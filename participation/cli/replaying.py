"""`participation dead-letters replay`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from redis import Redis
from sqlalchemy import Engine

from participation.cli import context
from participation.cli.progress import Bars
from participation.errors import ConfigError, InvalidEvent, ParticipationError
from participation.replay import Replay, read_event
from participation.store import migrate
from participation.store.dead_letters import Choice
from participation.store.ledger import Tally

NAMED = 20
"""Most letters that are named when they are left."""

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="Ids of letters, as `list` shows them.")]
Reason = Annotated[
    str | None, typer.Option(metavar="CODE", help="Only letters with this reason, as invalid_event or rejected.")
]


def replay(
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="All letters that were not sent again.")] = False,
    reason: Reason = None,
    event_file: Annotated[
        Path | None,
        typer.Option("--event", metavar="FILE", help="Send the event in this file instead; - is standard input."),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until the events are stored.")] = False,
) -> None:
    """Send dead letters again: those with these ids, those with a reason, or all; wait until they are stored.

    They go through queue and worker like live events. What is still wrong becomes a new dead letter. What was sent is
    marked and not sent a second time. A message that was cut off is left, unless --event repairs it. A repeat is safe:
    what is stored already counts as a duplicate. The exit code is 1 if a letter was left or is dead again.
    """
    choice = _choice(ids, every, reason)
    if event_file is not None and len(choice.ids or ()) != 1:
        raise ConfigError("--event repairs one letter: give its id, as in `replay 22 --event event.json`")
    repaired = None if event_file is None else _repaired(event_file)
    with context.database() as engine, context.queue() as redis:
        migrate.check(engine)
        with Bars(None) as bars:
            state = Replay(choice, lambda now: bars.published(now.sent, now.sent, now.chosen), repaired)
            _send(state, redis, engine)
            tally = None if no_wait else bars.wait(engine, state.import_id, state.counted)
    typer.echo(f"chosen {state.chosen:,}   sent {state.sent:,}   left {state.left:,}")
    if tally is not None:
        typer.echo(
            f"stored {tally.stored:,}   duplicates {tally.duplicates:,}   dead again {tally.dead:,}   "
            f"sent as they came {state.as_they_came:,}"
        )
    _explain(state, tally)
    raise typer.Exit(1 if state.left or (tally is not None and tally.dead) else 0)


def _choice(ids: list[int] | None, every: bool, reason: str | None) -> Choice:
    if [bool(ids), every, reason is not None].count(True) != 1:
        raise ConfigError("say which letters, in exactly one way: ids as in `replay 22 23`, --reason CODE, or --all")
    return Choice(ids=tuple(sorted(set(ids))) if ids else None, reason=context.parse_word("--reason", reason))


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
            typer.echo(f"{state.sent:,} of {state.chosen:,} letters were sent before this, and are marked", err=True)
        raise


def _explain(state: Replay, tally: Tally | None) -> None:
    """Say on standard error what is left to do."""
    if tally is not None and tally.opted_out:
        typer.echo(f"{tally.opted_out:,} event(s) are of members who opted out and were not kept", err=True)
    if state.as_they_came:
        typer.echo(
            f"{state.as_they_came:,} message(s) went as they came, since no event can be read from them: they become "
            "dead letters again, unless the workers are of a version that can",
            err=True,
        )
    if state.cut_off:
        named = ", ".join(map(str, state.cut_off[:NAMED])) + ("…" if len(state.cut_off) > NAMED else "")
        typer.echo(
            f"{len(state.cut_off):,} letter(s) were left, since their message was cut off: {named}; each can be sent "
            "with `replay ID --event FILE`",
            err=True,
        )
    if elsewhere := state.left - len(state.cut_off):
        typer.echo(
            f"{elsewhere:,} letter(s) were left: they were sent again before, or another replay is sending them",
            err=True,
        )
    if tally is not None and tally.dead:
        typer.echo(
            f"{tally.dead:,} event(s) are dead again, as new letters: `participation dead-letters list`", err=True
        )
