"""`participation dead-letters …`."""

import shutil
import sys
from base64 import b64encode
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from sqlalchemy import Connection, Engine

from participation import message
from participation.cli import context, printing, replaying
from participation.cli.replaying import Reason
from participation.errors import ConfigError, InvalidEvent
from participation.store import dead_letters
from participation.store.database import transaction
from participation.store.dead_letters import Choice, Letter

app = typer.Typer()

PURGED = 2_000
"""Letters that are deleted in one transaction."""

MOMENT = "a duration before now (24h, 7d, 4w), a date (in UTC) or an RFC 3339 moment"

Id = Annotated[int, typer.Argument(metavar="ID", help="The letter's id, as `list` shows it.")]
Since = Annotated[str | None, typer.Option(metavar="MOMENT", help=f"Received then or later: {MOMENT}.")]
Until = Annotated[str | None, typer.Option(metavar="MOMENT", help="Received before that, written the same way.")]
AsLines = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
AsObject = Annotated[bool, typer.Option("--json", help="One JSON object on one line, the message as base64.")]
WithRaw = Annotated[bool, typer.Option("--raw", help="With --json: also the message itself, as base64.")]


@app.command("list", epilog="Example: participation dead-letters list --reason invalid_event --since 24h")
def list_(  # noqa: PLR0913, PLR0917 - each is an option
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    batch: Annotated[str | None, typer.Option(metavar="ID", help="Only letters of this batch.")] = None,
    replayed: Annotated[bool, typer.Option("--replayed", help="Those that were sent again instead.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Those that were sent again, too.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Most letters to list.")] = 20,
    as_json: AsLines = False,
    raw: WithRaw = False,
) -> None:
    """List dead letters, the newest first: those that were not sent again, unless told otherwise."""
    if replayed and every:
        raise ConfigError("--replayed does not go with --all: one of them is enough")
    if raw and not as_json:
        raise ConfigError("--raw goes with --json: `participation dead-letters show ID` shows a message to people")
    now = datetime.now(UTC)
    choice = Choice(
        reason=context.parse_word("--reason", reason),
        batch_id=context.parse_word("--batch", batch),
        since=_moment("--since", since, now),
        until=_moment("--until", until, now),
        replayed=None if every else replayed,
    )
    with context.database() as engine, transaction(engine) as connection:
        if as_json:
            _print_lines(connection, choice, limit, raw)
        else:
            _print_table(connection, choice, limit)


def _print_lines(connection: Connection, choice: Choice, limit: int, raw: bool) -> None:
    for number, letter in enumerate(dead_letters.newest(connection, choice, limit + 1)):
        if number == limit:
            typer.echo(f"the newest {limit:,} only; --limit N lists more", err=True)
            return
        typer.echo(printing.as_json(_fields(letter) | (_raw(letter) if raw else {})))


def _print_table(connection: Connection, choice: Choice, limit: int) -> None:
    letters = list(dead_letters.newest(connection, choice, limit))
    if not letters:
        there_are = _counts(dead_letters.reasons(connection, Choice()))
        typer.echo(f"no dead letter matches; not sent again are: {there_are or 'none'}")
        return
    replayed = choice.replayed is not False
    titles = ["id", "received (UTC)", *(["sent again (UTC)"] * replayed), "reason", "detail"]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = printing.table(titles, [_cells(letter, replayed) for letter in letters], width)
    counts = dead_letters.reasons(connection, choice)
    total = sum(counts.values())
    some, more = (f"the newest {limit:,} of ", " (--limit N lists more)") if len(letters) < total else ("", "")
    typer.echo("\n".join([*lines, "", f"{some}{total:,} dead letter(s){more}: {_counts(counts)}"]))


def _cells(letter: Letter, replayed: bool) -> list[str]:
    moments = [_at(letter.received_at), *([_at(letter.replayed_at) or "no"] * replayed)]
    return [str(letter.id), *moments, printing.plain(letter.reason), printing.plain(letter.detail)]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{printing.plain(reason)} {letters:,}" for reason, letters in counts.items())


@app.command("show", epilog="Example: participation dead-letters show 22 --event > event.json")
def show(
    letter_id: Id,
    as_json: AsObject = False,
    only_event: Annotated[bool, typer.Option("--event", help="Only the event, as JSON, to correct it.")] = False,
) -> None:
    """Show one dead letter: why it is dead, the event in it, and the message. What is not printable is escaped."""
    if as_json and only_event:
        raise ConfigError("--json does not go with --event, which is JSON, too")
    with context.database() as engine, transaction(engine) as connection:
        letter = dead_letters.get(connection, letter_id)
    event, problem = _event(letter)
    if as_json:
        typer.echo(printing.as_json({**_fields(letter), "event": event, "event_error": problem, **_raw(letter)}))
    elif not only_event:
        _print_letter(letter, event, problem)
    elif problem is None:
        typer.echo(printing.as_json(event, indent=2))
    else:
        raise ConfigError(
            f"no event can be read from dead letter {letter.id} ({printing.plain(problem)}): write the right one into "
            f"a file and send it with `participation dead-letters replay {letter.id} --event FILE`"
        )


def _event(letter: Letter) -> tuple[Any, str | None]:
    """Return the event in the message, or None and why there is none to show."""
    if letter.is_cut_off:
        return None, "the message was cut off"
    try:
        event = message.decode(letter.raw).event
        orjson.dumps(event)
    except InvalidEvent as error:
        return None, str(error)
    except TypeError:
        return None, "the event has hundreds of levels"
    return event, None


def _print_letter(letter: Letter, event: object, problem: str | None) -> None:
    kept = f", of which the first {len(letter.raw):,} are kept" if letter.is_cut_off else ""
    lines = {
        "dead letter": letter.id,
        "reason": printing.plain(letter.reason),
        "detail": printing.plain(letter.detail),
        "received": f"{_at(letter.received_at)} UTC",
        "sent again": f"{_at(letter.replayed_at)} UTC" if letter.replayed_at else "no",
        "batch": printing.plain(letter.batch_id),
        "length": f"{letter.raw_bytes:,} bytes{kept}",
        "SHA-256": letter.raw_sha256.hex(),
    }
    for name, value in lines.items():
        typer.echo(f"{name:<14}{value}")
    none = f"none can be read: {printing.plain(problem or '')}"
    typer.echo(f"\nevent\n{none if problem is not None else printing.as_json(event, indent=2)}")
    typer.echo(f"\nmessage\n{printing.plain_bytes(letter.raw)}")


app.command("replay", epilog="Example: participation dead-letters replay 22 --event event.json")(replaying.replay)


@app.command("purge", epilog="Example: participation dead-letters purge --older-than 30d --dry-run")
def purge(
    older_than: Annotated[str, typer.Option(metavar="MOMENT", help=f"Received before: {MOMENT}.")],
    reason: Reason = None,
    replayed: Annotated[bool, typer.Option("--replayed", help="Only letters that were sent again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
) -> None:
    """Delete old dead letters for ever, with their messages; there is no way back.

    Also those that were not sent again are deleted, unless --replayed is given.
    """
    before = context.parse_moment("--older-than", older_than, datetime.now(UTC))
    choice = Choice(reason=context.parse_word("--reason", reason), until=before, replayed=True if replayed else None)
    with context.database() as engine:
        if dry_run:
            with transaction(engine) as connection:
                letters = dead_letters.scope(connection, choice).letters
            typer.echo(f"{letters:,} dead letter(s) received before {_at(before)} UTC would be deleted")
        else:
            deleted = _purge(engine, choice)
            typer.echo(f"{deleted:,} dead letter(s) received before {_at(before)} UTC deleted")


def _purge(engine: Engine, choice: Choice) -> int:
    deleted, full = 0, True
    with Console(stderr=True).status("deleting") as status:
        while full:
            with transaction(engine) as connection:
                count = dead_letters.purge(connection, choice, PURGED)
            deleted, full = deleted + count, count == PURGED
            status.update(f"{deleted:,} deleted")
    return deleted


def _moment(option: str, value: str | None, now: datetime) -> datetime | None:
    return None if value is None else context.parse_moment(option, value, now)


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _fields(letter: Letter) -> dict[str, object]:
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


def _raw(letter: Letter) -> dict[str, object]:
    """Return what was kept of the message, as JSON can hold it."""
    return {"raw_base64": b64encode(letter.raw).decode()}
