"""The zones of communities: are their names clear, and is PostgreSQL's list of zones up to date?"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection

from participation.operations.doctor.finding import Finding, note, ok, warn
from participation.operations.doctor.postgresql import STATEMENT_SECONDS
from participation.store import server
from participation.store.communities import zones
from participation.store.communities.zones import ZoneInUse
from participation.store.database import connect, transaction

NAMED: Final = 10
"""How many communities a finding names."""

BEFORE: Final = timedelta(days=366)
AFTER: Final = timedelta(days=2 * 366)
"""The time that is compared: the last year and the coming two."""

DAY: Final = timedelta(days=1)
SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Zones:
    """The zones of all communities. differing: the first moment at which PostgreSQL and Python disagree about a zone.

    unknown: zones that Python does not have.
    """

    in_use: Sequence[ZoneInUse]
    differing: dict[str, datetime]
    unknown: list[str]


def read(url: str) -> Zones:
    """Ask the server, and compare its zones with Python's. Raises `ConfigError` or `Unavailable`."""
    engine = connect(url, STATEMENT_SECONDS)
    try:
        with transaction(engine) as connection:
            server.set_statement_timeout(connection, STATEMENT_SECONDS)
            found = Zones(zones.in_use(connection), {}, [])
            for name in sorted({each.timezone for each in found.in_use if each.fault is None}):
                _compare(connection, name, found)
            return found
    finally:
        engine.dispose()


def _compare(connection: Connection, name: str, found: Zones) -> None:
    try:
        expected = _telling_offsets(ZoneInfo(name), datetime.now(UTC))
    except (ZoneInfoNotFoundError, ValueError):
        found.unknown.append(name)
        return
    given = zip(expected, zones.offsets(connection, name, list(expected)), strict=True)
    first = next((at for at, offset in given if offset != expected[at]), None)
    if first is not None:
        found.differing[name] = first


def _telling_offsets(zone: ZoneInfo, now: datetime) -> dict[datetime, int]:
    """Return Python's offsets in seconds, in the order of time: of each day, and on both sides of each change."""
    start = now.replace(microsecond=0) - BEFORE
    days = [start + n * DAY for n in range((BEFORE + AFTER).days + 1)]
    changes = [
        _change(zone, day) for day, following in pairwise(days) if _offset(zone, day) != _offset(zone, following)
    ]
    moments = {*days, *changes, *(at - SECOND for at in changes)}
    return {at: _offset(zone, at) for at in sorted(moments)}


def _change(zone: ZoneInfo, start: datetime) -> datetime:
    """Return the second, in the day from `start` on, from which on the zone has another offset."""
    before = _offset(zone, start)
    seconds = range(DAY // SECOND)
    return start + bisect_left(seconds, True, key=lambda n: _offset(zone, start + n * SECOND) != before) * SECOND


def _offset(zone: ZoneInfo, at: datetime) -> int:
    return int((at.astimezone(zone).utcoffset() or timedelta()).total_seconds())


def judge(found: Zones, today: date) -> Iterator[Finding]:
    """Yield the findings about the zones of the communities."""
    faulty = [each for each in found.in_use if each.fault is not None]
    if faulty:
        names = [f"{each.timezone} of {each.community_id}" for each in faulty]
        meaning = "these names are not accepted any more: each depends on the server, and may have no summer time"
        commands = "; ".join(f"`{each.command}`" for each in faulty[:NAMED])
        yield warn("time zones", _some(names), meaning, f"run {commands}")
    for name, first in found.differing.items():
        yield _differs(name, first, [each.community_id for each in found.in_use if each.timezone == name], today)
    if found.unknown:
        meaning = "PostgreSQL's list of zones decides about days, and cannot be compared for these zones"
        yield note("time zones", f"unknown to Python: {_some(found.unknown)}", meaning, "update tzdata on this machine")
    if not (faulty or found.differing or found.unknown):
        yield ok("time zones", "are clear, and agree with Python's list")


def _differs(name: str, first: datetime, communities: Sequence[str], today: date) -> Finding:
    found = f"{name}: PostgreSQL and Python differ from {first:%Y-%m-%d} on (used by {_some(communities)})"
    meaning = "one of their lists of zones is old. PostgreSQL's decides about days: if it is old, days are wrong"
    cure = "update tzdata on this machine, and PostgreSQL or the tzdata on its machine; then restart PostgreSQL"
    if first.date() <= today:
        cure += f", and run `participation highlights compute --community ID --from {first:%Y-%m-%d} --to {today}`; "
        cure += "days before the last year may be wrong, too"
    return warn("time zones", found, meaning, cure)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest
