"""The time zones that a community can have: names that mean the same on every server.

PostgreSQL's list of zones decides, because PostgreSQL computes the days. Python's list is never used for that.
"""

import shlex
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from participation.errors import ConfigError
from participation.event import quoted

INSTEAD: Final = {
    "CET": "Europe/Brussels",
    "MET": "Europe/Brussels",
    "EET": "Europe/Athens",
    "WET": "Europe/Lisbon",
    "EST": "America/Panama",
    "MST": "America/Phoenix",
    "HST": "Pacific/Honolulu",
    "EST5EDT": "America/New_York",
    "CST6CDT": "America/Chicago",
    "MST7MDT": "America/Denver",
    "PST8PDT": "America/Los_Angeles",
    **dict.fromkeys(("GMT", "GMT0", "GMT+0", "GMT-0", "UCT", "Zulu"), "UTC"),
    **dict.fromkeys(("localtime", "posixrules", "Factory"), ""),
}
"""Names that depend on the server, and the name that the tz database links them to; empty if there is none.

PostgreSQL looks for a name first among its abbreviations, which have no summer time and depend on a setting of the
server, then among its files, and last reads it as a POSIX rule such as `EST5EDT`. `localtime` is the server's clock.
"""

_UNCLEAR: Final = {name.lower(): name for name in INSTEAD}
_PREFIXES: Final = ("posix/", "right/")
_EXAMPLE: Final = "an IANA name, for example Europe/Berlin"

# Without abbreviations, also those of a server with a list of its own. UTC is one, and means the same everywhere.
_SELECT_TIME_ZONES = text("""
SELECT name FROM pg_timezone_names
WHERE name = 'UTC' OR lower(name) NOT IN (SELECT lower(abbrev) FROM pg_timezone_abbrevs)
ORDER BY name
""")

_SELECT_COMMUNITY_ZONES = text("SELECT community_id, timezone FROM communities ORDER BY community_id")


# The offset is the difference of two clocks that show the same moment.
_SELECT_OFFSETS = text("""
SELECT CAST(extract(epoch FROM (at AT TIME ZONE :timezone) - (at AT TIME ZONE 'UTC')) AS integer)
FROM unnest(CAST(:moments AS timestamptz[])) WITH ORDINALITY AS given (at, place)
ORDER BY place
""")


class ZoneInUse(NamedTuple):
    """The zone of a community. fault: None, or what to use instead, because the name is not clear."""

    community_id: str
    timezone: str
    fault: str | None

    @property
    def command(self) -> str:
        """The command that sets the zone to use instead."""
        zone = "ZONE" if self.fault in (None, _EXAMPLE) else self.fault
        return f"participation communities set {shlex.quote(self.community_id)} --timezone {zone}"


def canonical(connection: Connection, name: str) -> str:
    """Return the zone in PostgreSQL's spelling.

    Raises `ConfigError`, with the name to use instead, if PostgreSQL does not know the zone, or if the name does not
    mean the same on every server.
    """
    known = _known(connection)
    if name.lower() in known:
        return known[name.lower()]
    if _is_unclear(name):
        raise ConfigError(f"the time zone {name!r} does not mean the same on every server: use {_instead(name, known)}")
    near = get_close_matches(name, known.values(), n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"use {_EXAMPLE}"
    raise ConfigError(f"unknown time zone {quoted(name)}: {advice}")


def in_use(connection: Connection) -> list[ZoneInUse]:
    """Return the zone of each community. One that `canonical` refuses or spells differently has a fault."""
    known = _known(connection)
    return [
        ZoneInUse(each, zone, None if known.get(zone.lower()) == zone else _instead(zone, known))
        for each, zone in connection.execute(_SELECT_COMMUNITY_ZONES)
    ]


def offsets(connection: Connection, timezone: str, moments: Sequence[datetime]) -> list[int]:
    """Return the zone's offset from UTC at each moment, in seconds. PostgreSQL must know the zone."""
    return list(connection.scalars(_SELECT_OFFSETS, {"timezone": timezone, "moments": list(moments)}))


def _known(connection: Connection) -> dict[str, str]:
    """Return the zones that mean the same on every server, by their name in lower case."""
    names: list[str] = list(connection.scalars(_SELECT_TIME_ZONES))
    return {name.lower(): name for name in names if not _is_unclear(name)}


def _is_unclear(name: str) -> bool:
    return name.lower() in _UNCLEAR or name.lower().startswith(_PREFIXES)


def _instead(name: str, known: dict[str, str]) -> str:
    """Return the zone that the name probably stands for."""
    bare = name.lower().removeprefix("posix/").removeprefix("right/")
    return known.get(bare) or INSTEAD.get(_UNCLEAR.get(bare, "")) or _EXAMPLE
