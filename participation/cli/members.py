"""`participation members …`."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import compress
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from sqlalchemy import Connection, Engine

from participation import accounts, private_files
from participation.accounts import Account
from participation.cli import arguments, connections, output
from participation.cli.group import command_group
from participation.display_names import key, printable
from participation.errors import ConfigError, ParticipationError
from participation.event import quoted
from participation.store.communities import member_list, shown_names
from participation.store.communities.member_list import Found
from participation.store.database import transaction
from participation.store.members import links, opt_outs, persons, requests
from participation.store.members.requests import Erased

app = command_group()

CANDIDATES: Final = 10
"""How many accounts are listed when a name is given to a command that takes only ids."""

Accounts = Annotated[
    list[str], typer.Argument(metavar="PLATFORM:ACCOUNT…", help="Accounts, for example discord:123456789.")
]
Member = Annotated[
    str,
    typer.Argument(metavar="WHO", help="An account, for example discord:123456789, or a person from `members link`."),
]
Erase = Callable[..., Erased]


@app.command("list", epilog="Example: participation members list --community harbour --search ada")
def list_(
    community: Annotated[str, typer.Option("--community", help="The community_id.")],
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only members with this text in a name, a username or an id."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Maximum number of members to list.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for programs.")] = False,
) -> None:
    """List the members of a community with their names and ids, those who were active last first."""
    if search is not None and not key(search):
        raise ConfigError("--search: the text is empty: give a part of a name or of an id, or leave the option out")
    with connections.database() as engine, transaction(engine) as connection:
        community = connections.resolve(connection, community)
        found = member_list.find(connection, community, search or "", limit)
    if as_json:
        for member in found.members:
            typer.echo(output.as_json(orjson.loads(orjson.dumps(asdict(member)))))
        if found.total > limit:
            typer.echo(f"only {limit:,} of {found.total:,} members are listed; --limit N lists more", err=True)
    else:
        typer.echo("\n".join(_table(found)))


def _table(found: Found) -> list[str]:
    if not found.members:
        return ["no member found: a member is listed as soon as a name or a computed day is stored"]
    titles = ["name", "last active", "usernames", "id", "linked accounts"]
    cells = [_cells(member) for member in found.members]
    has = [True] * 4 + [any(row[-1] for row in cells)]
    lines = output.table(list(compress(titles, has)), [list(compress(row, has)) for row in cells])
    more = len(found.members) < found.total
    some, hint = (
        (f"{len(found.members):,} of ", ": --limit N lists more, --search TEXT finds some") if more else ("", "")
    )
    return [*lines, "", f"{some}{found.total:,} member(s){hint}"]


def _cells(member: member_list.Member) -> list[str]:
    ids = [accounts.person_id(Account(each.platform, each.account_id)) for each in member.accounts]
    usernames = dict.fromkeys(each.username for each in member.accounts if each.username)
    return [
        printable(member.name or member.member_id),
        str(member.last_active_date or "never"),
        ", ".join(map(printable, usernames)),
        output.escape(member.member_id),
        "" if ids == [member.member_id] else ", ".join(map(output.escape, ids)),
    ]


@app.command("link", epilog="Example: participation members link ada discord:80351110224678912 irc:ada")
def link(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Name of the person who has these accounts.")],
    texts: Accounts,
) -> None:
    """Count several accounts as one person. The days on which they were active are computed again."""
    arguments.parse_name("PERSON", person)
    with connections.database() as engine, transaction(engine) as connection:
        chosen = _accounts(connection, texts)
        if opt_outs.is_any_opted_out(connection, chosen):
            raise ConfigError(
                "an account has opted out, so nothing may be stored about it: remove it, or run `members opt-in` first"
            )
        changed = links.link(connection, person, chosen)
    typer.echo(f"{person}: {changed} account(s) linked, {len(chosen) - changed} were already")


@app.command("unlink", epilog="Example: participation members unlink irc:ada")
def unlink(texts: Accounts) -> None:
    """Count each account as a separate person again. The days on which they were active are computed again."""
    with connections.database() as engine, transaction(engine) as connection:
        chosen = _accounts(connection, texts)
        changed = links.unlink(connection, chosen)
    typer.echo(f"{changed} account(s) unlinked, {len(chosen) - changed} were not linked")


@app.command("forget", epilog="Example: participation members forget discord:80351110224678912")
def forget(
    who: Annotated[
        list[str], typer.Argument(metavar="WHO…", help="Accounts, for example discord:123456789, or persons.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation. Without a terminal, the command never asks.")
    ] = False,
) -> None:
    """Erase everything about members: events, highlights, links, dead letters. This cannot be undone.

    It always covers the whole person with all linked accounts. Events up to now that are still in queues are discarded
    when they arrive. Events that happen more than five minutes from now are stored again. Repeating it is safe.
    """
    with connections.database() as engine:
        _check_ids(engine, who)
        found = [requests.accounts(engine, each) for each in who]
        if not yes and sys.stdin.isatty():
            _confirm([account for person in found for account in person])
        for person in found:
            _erase(engine, requests.forget, person[0], "erased")


@app.command("export", epilog="Example: participation members export irc:ada --output ada.ndjson")
def export(
    who: Member,
    file: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write to this new file, which only you can read."),
    ] = None,
) -> None:
    """Write everything that is stored about a member as NDJSON: one JSON object per line, each with a `kind`.

    It always covers the whole person with all linked accounts. Ids of other members are left out.
    """
    with connections.database() as engine:
        _check_ids(engine, [who])
        lines = requests.export(engine, who)
        if file is None:
            for line in lines:
                typer.echo(output.as_json(orjson.loads(line)))
        else:
            typer.echo(f"{_save(lines, file):,} line(s) written to {file}")


@app.command("opt-out", epilog="Example: participation members opt-out irc:ada")
def opt_out(who: Member) -> None:
    """Erase everything about a member as `forget` does, and discard all later events of the accounts.

    Only a keyed hash of each account is stored. `members opt-in` ends the opt-out.
    """
    with connections.database() as engine:
        _check_ids(engine, [who])
        _erase(engine, requests.opt_out, who, "erased; later events will be discarded")


@app.command("opt-in", epilog="Example: participation members opt-in irc:ada")
def opt_in(who: Member) -> None:
    """Store the events of a member again, from now on. Erased data stays erased.

    An opt-out removes the links between accounts, so name each account.
    """
    with connections.database() as engine:
        _check_ids(engine, [who])
        found, changed = requests.opt_in(engine, who)
    had = f"{changed:,} account(s) had opted out" if changed else "had not opted out"
    typer.echo(f"{_names(found)}: {had}; events from now on are stored")


def _accounts(connection: Connection, texts: Iterable[str]) -> list[Account]:
    """Read accounts, each written as PLATFORM:ACCOUNT. A name is refused with the accounts that have it."""
    for text in texts:
        if accounts.find(text) is None:
            _refuse_name(connection, text)
    return [accounts.parse(text) for text in texts]


def _check_ids(engine: Engine, texts: Iterable[str]) -> None:
    """Refuse what is a name and no id of an account or a person, before anything is changed or handed out."""
    with transaction(engine) as connection:
        for text in texts:
            if not persons.is_id(connection, text):
                _refuse_name(connection, text)


def _refuse_name(connection: Connection, text: str) -> None:
    found = shown_names.accounts_called(connection, text, CANDIDATES + 1)
    if found:
        named = [
            f"{output.escape(accounts.person_id(each.account))} ({printable(each.name or text)} in "
            f"{output.escape(each.community_id)})"
            for each in found[:CANDIDATES]
        ]
        more = ", and others" if len(found) > CANDIDATES else ""
        raise ConfigError(
            f"{quoted(text)} is a name, and this command takes only ids, because names can change and several members "
            f"can have the same: give the id of {' or '.join(named)}{more}"
        )


def _confirm(given: Iterable[Account]) -> None:
    typer.confirm(f"Erase everything about {_names(given)} permanently?", abort=True, err=True)


def _erase(engine: Engine, erase: Erase, who: Account | str, done: str) -> None:
    with Console(stderr=True).status("reading the events") as status:
        found = erase(engine, who, lambda step, steps: status.update(f"partition {step:,} of {steps:,}"))
    counts = {
        "event(s)": found.events,
        "mention(s) in events of others": found.received,
        "row(s) of highlights": found.highlights,
        "name(s)": found.names,
        "dead letter(s)": found.dead_letters,
        "link(s)": found.links,
    }
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing was stored"
    due = f"; {len(found.days):,} day(s) are marked to be computed again" if found.days else ""
    typer.echo(f"{_names(found.accounts)}: {done}: {said}{due}")


def _names(given: Iterable[Account]) -> str:
    return ", ".join(output.escape(accounts.person_id(account)) for account in given)


def _save(lines: Iterable[bytes], file: Path) -> int:
    written = 0
    try:
        target = open(file, "xb", opener=private_files.opener)  # noqa: SIM115 - on an error, an existing file must stay
        with target:
            for line in lines:
                target.write(line)
                written += 1
    except FileExistsError as error:
        raise ConfigError(f"{file}: already exists; name another file") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror})") from error
    except ParticipationError:
        file.unlink()
        raise
    return written
