"""`participation dead-letters list` and `show`."""

import shutil
import sys
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer
from sqlalchemy import Connection

from participation import message
from participation.cli import arguments, connections, output
from participation.cli.dead_letters.names import Named, read_names
from participation.cli.dead_letters.options import MOMENT, Reason, format_moment
from participation.display_names import printable
from participation.errors import ConfigError, InvalidEvent
from participation.store import dead_letters
from participation.store.database import transaction
from participation.store.dead_letters import Choice, DeadLetter

Id = Annotated[int, typer.Argument(metavar="ID", help="The letter's id, as `list` shows it.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help=f"Only letters received at this time or later: {MOMENT}.")
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only letters received before this time, in the same format.")
]
AsLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for programs.")]
AsObject = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on one line, with the message as base64.")
]
WithRaw = Annotated[bool, typer.Option("--raw", help="With --json: also print the message, as base64.")]


def list_(  # noqa: PLR0913, PLR0917 - each is an option
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    batch: Annotated[str | None, typer.Option(metavar="ID", help="Only letters of this batch.")] = None,
    replayed: Annotated[bool, typer.Option("--replayed", help="Only letters that were sent again.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Also list letters that were sent again.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Maximum number of letters to list.")] = 20,
    as_json: AsLines = False,
    raw: WithRaw = False,
) -> None:
    """List dead letters, the newest first. By default, letters that were sent again are not listed."""
    if replayed and every:
        raise ConfigError("--replayed cannot be combined with --all: give one of them")
    if raw and not as_json:
        raise ConfigError("--raw needs --json; to read a message, use `participation dead-letters show ID`")
    now = datetime.now(UTC)
    choice = Choice(
        reason=arguments.parse_word("--reason", reason),
        batch_id=arguments.parse_word("--batch", batch),
        since=_moment("--since", since, now),
        until=_moment("--until", until, now),
        replayed=None if every else replayed,
    )
    with connections.database() as engine, transaction(engine) as connection:
        if as_json:
            _print_lines(connection, choice, limit, raw)
        else:
            _print_table(connection, choice, limit)


def _print_lines(connection: Connection, choice: Choice, limit: int, raw: bool) -> None:
    for number, letter in enumerate(dead_letters.newest(connection, choice, limit + 1)):
        if number == limit:
            typer.echo(f"only the newest {limit:,} are listed; --limit N lists more", err=True)
            return
        typer.echo(output.as_json(_fields(letter) | (_raw(letter) if raw else {})))


def _print_table(connection: Connection, choice: Choice, limit: int) -> None:
    letters = list(dead_letters.newest(connection, choice, limit))
    if not letters:
        there_are = _counts(dead_letters.reasons(connection, Choice()))
        typer.echo(f"no dead letter matches; letters that were not sent again: {there_are or 'none'}")
        return
    replayed = choice.replayed is not False
    titles = ["id", "received (UTC)", *(["sent again (UTC)"] * replayed), "reason", "detail"]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = output.table(titles, [_cells(letter, replayed) for letter in letters], width)
    counts = dead_letters.reasons(connection, choice)
    total = sum(counts.values())
    some, more = (f"the newest {limit:,} of ", " (--limit N lists more)") if len(letters) < total else ("", "")
    typer.echo("\n".join([*lines, "", f"{some}{total:,} dead letter(s){more}: {_counts(counts)}"]))


def _cells(letter: DeadLetter, replayed: bool) -> list[str]:
    moments = [format_moment(letter.received_at), *([format_moment(letter.replayed_at) or "no"] * replayed)]
    return [str(letter.id), *moments, output.escape(letter.reason), output.escape(letter.detail)]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{output.escape(reason)} {letters:,}" for reason, letters in counts.items())


def show(
    letter_id: Id,
    as_json: AsObject = False,
    only_event: Annotated[
        bool, typer.Option("--event", help="Print only the event, as JSON, so that you can correct it.")
    ] = False,
) -> None:
    """Show one dead letter: the reason, its event, and the message. Characters that are not printable are escaped."""
    if as_json and only_event:
        raise ConfigError("--json cannot be combined with --event, which prints JSON as well")
    with connections.database() as engine, transaction(engine) as connection:
        letter = dead_letters.get(connection, letter_id)
        event, problem = _event(letter)
        named = read_names(connection, event)
    if as_json:
        names = {name: each.name for name, each in named.items()}
        read = {"event": event, "event_error": problem, "names": names}
        typer.echo(output.as_json({**_fields(letter), **read, **_raw(letter)}))
    elif not only_event:
        _print_letter(letter, event, problem, named)
    elif problem is None:
        typer.echo(output.as_json(event, indent=2))
    else:
        raise ConfigError(
            f"no event can be read from dead letter {letter.id} ({output.escape(problem)}): write the correct event to "
            f"a file and send it with `participation dead-letters replay {letter.id} --event FILE`"
        )


def _event(letter: DeadLetter) -> tuple[Any, str | None]:
    """Return the event in the message, or None and the reason why it cannot be read."""
    if letter.is_cut_off:
        return None, "the message was cut off"
    try:
        event = message.decode(letter.raw).argument
        orjson.dumps(event)
    except InvalidEvent as error:
        return None, str(error)
    except TypeError:
        return None, "the event is nested too deeply"
    return event, None


def _print_letter(letter: DeadLetter, event: object, problem: str | None, named: Mapping[str, Named]) -> None:
    kept = f", of which the first {len(letter.raw):,} are kept" if letter.is_cut_off else ""
    lines = {
        "dead letter": letter.id,
        "reason": output.escape(letter.reason),
        "detail": output.escape(letter.detail),
        "received": f"{format_moment(letter.received_at)} UTC",
        "sent again": f"{format_moment(letter.replayed_at)} UTC" if letter.replayed_at else "no",
        "batch": output.escape(letter.batch_id),
        "length": f"{letter.raw_bytes:,} bytes{kept}",
        "SHA-256": letter.raw_sha256.hex(),
        **{name: f"{output.escape(each.id)}  {printable(each.name)}" for name, each in named.items()},
    }
    for name, value in lines.items():
        typer.echo(f"{name:<14}{value}")
    none = f"none can be read: {output.escape(problem or '')}"
    typer.echo(f"\nevent\n{none if problem is not None else output.as_json(event, indent=2)}")
    typer.echo(f"\nmessage\n{output.escape_bytes(letter.raw)}")


def _moment(option: str, value: str | None, now: datetime) -> datetime | None:
    return None if value is None else arguments.parse_moment(option, value, now)


def _fields(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "received_at": letter.received_at.isoformat(),
        "reason": letter.reason,
        "detail": letter.detail,
        "batch_id": letter.batch_id,
        "raw_bytes": letter.raw_bytes,
        "raw_sha256": letter.raw_sha256.hex(),
        "replayed_at": letter.replayed_at and letter.replayed_at.isoformat(),
    }


def _raw(letter: DeadLetter) -> dict[str, object]:
    """Return the stored part of the message as base64, because JSON cannot contain bytes."""
    return {"raw_base64": b64encode(letter.raw).decode()}
