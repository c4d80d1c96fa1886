"""`participation members forget | export | opt-out | opt-in`."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from sqlalchemy import Engine

from participation import privacy
from participation.cli import context, printing
from participation.errors import ConfigError, ParticipationError
from participation.privacy import Erased
from participation.store.members import Account

Member = Annotated[
    str, typer.Argument(metavar="WHO", help="An account, as discord:123456789, or the name of a person.")
]
Erase = Callable[..., Erased]


def forget(
    who: Annotated[list[str], typer.Argument(metavar="WHO…", help="Accounts, as discord:123456789, or persons.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Without a terminal nobody is asked.")] = False,
) -> None:
    """Erase everything about members: events, highlights, links, dead letters. There is no way back.

    It always means the whole person, with all linked accounts. What they did until now and is still on its way is
    left out when it arrives; what they do later than in five minutes counts again. A repeat is safe.
    """
    with context.database() as engine:
        people = [privacy.accounts(engine, each) for each in who]
        if not yes and sys.stdin.isatty():
            _confirm([account for accounts in people for account in accounts])
        for accounts in people:
            _erase(engine, privacy.forget, accounts[0], "erased")


def export(
    who: Member,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file, readable for you only.")
    ] = None,
) -> None:
    """Write everything that is kept about a member as NDJSON: one JSON object a line, whose `kind` says what it is.

    It always means the whole person, with all linked accounts. Ids of other members are left out.
    """
    with context.database() as engine:
        lines = privacy.export(engine, who)
        if output is None:
            for line in lines:
                typer.echo(printing.as_json(orjson.loads(line)))
        else:
            typer.echo(f"{_save(lines, output):,} line(s) written to {output}")


def opt_out(who: Member) -> None:
    """Erase everything about a member as `forget` does, and keep nothing of what the accounts do from now on.

    Of who opted out nothing but a keyed hash of the account is kept. `members opt-in` ends it.
    """
    with context.database() as engine:
        _erase(engine, privacy.opt_out, who, "erased, and nothing more is kept")


def opt_in(who: Member) -> None:
    """Keep what a member does again, from now on. What was before stays erased.

    After an opt-out each account is for itself: name each of them.
    """
    with context.database() as engine:
        accounts, changed = privacy.opt_in(engine, who)
    had = f"{changed:,} account(s) had opted out" if changed else "had not opted out"
    typer.echo(f"{_names(accounts)}: {had}; what happens from now on is kept")


def _confirm(accounts: Iterable[Account]) -> None:
    typer.confirm(f"Erase everything about {_names(accounts)} for ever?", abort=True, err=True)


def _erase(engine: Engine, erase: Erase, who: Account | str, done: str) -> None:
    with Console(stderr=True).status("reading the events") as status:
        found = erase(engine, who, lambda step, steps: status.update(f"partition {step:,} of {steps:,}"))
    counts = {
        "event(s)": found.events,
        "mention(s) in events of others": found.received,
        "row(s) of highlights": found.highlights,
        "dead letter(s)": found.dead_letters,
        "link(s)": found.links,
    }
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing was there"
    due = f"; {len(found.days):,} day(s) are marked to be computed again" if found.days else ""
    typer.echo(f"{_names(found.accounts)}: {done}: {said}{due}")


def _names(accounts: Iterable[Account]) -> str:
    return ", ".join(printing.plain(":".join(account)) for account in accounts)


def _save(lines: Iterable[bytes], file: Path) -> int:
    written = 0
    try:
        target = open(file, "xb", opener=_private)  # noqa: SIM115 - what was there before is not ours to delete
        with target:
            for line in lines:
                target.write(line)
                written += 1
    except FileExistsError as error:
        raise ConfigError(f"{file}: is there already; name another file") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror})") from error
    except ParticipationError:
        file.unlink()
        raise
    return written


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
