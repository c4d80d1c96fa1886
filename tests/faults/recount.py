"""I6: highlights are what `tests.reference` makes of the raw rows, and computing again changes nothing.

In come a database and, perhaps, the command that computes; what is wrong goes into the verdict. Events are read in the
order of time, and no more of them are in memory than may touch one local day.
"""

import shlex
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from itertools import chain, groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests import reference
from tests.faults.report import Verdict
from tests.faults.tables import events, reading, rows

QUOTED: Final = 500
NOTHING: Final[Mapping[str, object]] = {}

DAY: Final = timedelta(days=1)
REACH: Final = 2 * DAY
"""An event in voice, twelve hours from a local day, has a UTC date so far from it at most; one within it, a day."""

PERSONS: Final = "SELECT platform, account_id, person_id FROM member_accounts"
ZONES: Final = "SELECT community_id, timezone FROM communities"
OTHERS: Final = """
SELECT DISTINCT platform, member_id FROM participation_events
WHERE actor_kind <> 'user' AND community_id IN (
    SELECT %(community)s UNION SELECT part_id FROM community_parts WHERE community_id = %(community)s
)
"""
COMMUNITIES: Final = """
SELECT DISTINCT coalesce(p.community_id, e.community_id)
FROM participation_events AS e LEFT JOIN community_parts AS p ON p.part_id = e.community_id
UNION SELECT community_id FROM member_daily_highlights
UNION SELECT community_id FROM community_daily_highlights
"""
OF_PARTS: Final = """
WHERE community_id IN (SELECT %s UNION SELECT part_id FROM community_parts WHERE community_id = %s)
ORDER BY occurred_at
"""
DAYS: Final = """
SELECT highlight_date FROM member_daily_highlights WHERE community_id = %(community)s
UNION SELECT highlight_date FROM community_daily_highlights WHERE community_id = %(community)s
"""
MEMBER: Final = ", ".join(each.name for each in fields(reference.MemberRow))
COMMUNITY: Final = ", ".join(each.name for each in fields(reference.CommunityRow))
MEMBERS_OF: Final = f"""
SELECT member_id, {MEMBER} FROM member_daily_highlights WHERE community_id = %s AND highlight_date = %s
"""
COMMUNITY_OF: Final = f"""
SELECT {COMMUNITY} FROM community_daily_highlights WHERE community_id = %s AND highlight_date = %s
"""
SNAPSHOT: Final = """
CREATE TEMPORARY TABLE {} AS
SELECT 'member' AS highlights, to_jsonb(m) - 'computed_at' AS columns FROM member_daily_highlights AS m
UNION ALL SELECT 'community', to_jsonb(c) - 'computed_at' FROM community_daily_highlights AS c
"""
CHANGES: Final = """
SELECT 'went', * FROM (TABLE once EXCEPT ALL TABLE twice) AS went
UNION ALL SELECT 'came', * FROM (TABLE twice EXCEPT ALL TABLE once) AS came
"""


def check_highlights(verdict: Verdict, database_url: str, compute: Sequence[str]) -> None:
    """I6: computing twice gives the same, and what the raw rows give."""
    if compute:
        with reading(database_url) as connection:
            compute_twice(verdict, connection, compute)
    with reading(database_url) as connection:
        zones = dict(rows(connection, ZONES))
        persons = {(platform, account): person for platform, account, person in rows(connection, PERSONS)}
        days = 0
        for (community,) in list(rows(connection, COMMUNITIES)):
            recount = Recount(verdict, connection, community, zones.get(community, "UTC"), persons, bool(compute))
            days += recount.compare()
    verdict.said = f"{days:,} days recomputed" + ", computed twice" * bool(compute)


def compute_twice(verdict: Verdict, connection: Connection, compute: Sequence[str]) -> None:
    for name in ("once", "twice"):
        done = subprocess.run(compute, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            verdict.fail(
                "{} ended with code {}: {}", shlex.join(compute), done.returncode, done.stderr.strip()[-QUOTED:]
            )
        with connection, connection.cursor() as cursor:
            cursor.execute(SNAPSHOT.format(name))
    for change in rows(connection, CHANGES):
        verdict.fail("computing again changed a row: {} {} {}", *change)


@dataclass
class Recount:
    """I6 for one community."""

    verdict: Verdict
    connection: Connection
    community: str
    timezone: str
    persons: Mapping[tuple[str, str], str]
    every: bool
    """Whether each day of a user's event must have rows; else only days that have some are compared."""
    others: Collection[reference.Account] = ()
    """Accounts that are something else than a user, from the events of all days."""

    def compare(self) -> int:
        """Compare day by day, with no more events in memory than may touch a day; return how many days."""
        zone = ZoneInfo(self.timezone)
        self.others = set(rows(self.connection, OTHERS, {"community": self.community}))
        days = {day for (day,) in rows(self.connection, DAYS, {"community": self.community})}
        near: dict[date, list[reference.Row]] = {}
        compared = 0
        for utc_date, that_day in groupby(self.events(), key=lambda event: event["occurred_at"].date()):
            compared += self.settle(days, near, utc_date)
            near = {day: kept for day, kept in near.items() if day + 2 * REACH >= utc_date}
            near[utc_date] = list(that_day)
            if self.every:
                of_users = (event for event in near[utc_date] if event["actor_kind"] == "user")
                days |= {event["occurred_at"].astimezone(zone).date() for event in of_users}
        return compared + self.settle(days, near, date.max)

    def settle(self, days: set[date], near: Mapping[date, list[reference.Row]], until: date) -> int:
        """Compare, and take from `days`, the days that no event from `until` on can touch."""
        ready = sorted(day for day in days if day + REACH < until)
        for day in ready:
            around = chain.from_iterable(near.get(day + offset * DAY, ()) for offset in (-1, 0, 1))
            farther = chain.from_iterable(near.get(day + offset, ()) for offset in (-REACH, REACH))
            voice = (event for event in farther if event["event_type"].startswith("VOICE"))
            self.compare_day(day, chain(around, voice))
        days.difference_update(ready)
        return len(ready)

    def compare_day(self, day: date, events: Iterable[reference.Row]) -> None:
        members, community = reference.highlights(
            events, self.community, day, self.timezone, self.persons, others=self.others
        )
        must: Mapping[Any, object] = {**members, None: community}
        computed = self.computed(day)
        for person in sorted(must.keys() | computed.keys(), key=str):
            if must.get(person) != computed.get(person):
                self.verdict.fail(
                    "community {!r} day {} {}: computed {}, must be {}",
                    self.community,
                    day,
                    f"person {person!r}" if person else "itself",
                    computed.get(person),
                    must.get(person),
                )

    def computed(self, day: date) -> dict[str | None, object]:
        """Read a day's rows by person, the community's own under None."""
        with self.connection.cursor() as cursor:
            cursor.execute(MEMBERS_OF, (self.community, day))
            found: dict[str | None, object] = {row[0]: reference.MemberRow(*row[1:]) for row in cursor}
            cursor.execute(COMMUNITY_OF, (self.community, day))
            row = cursor.fetchone()
        return found | {None: reference.CommunityRow(*row) if row else None}

    def events(self) -> Iterator[reference.Row]:
        """Yield the community's rows with no more than the oracle asks for: all of a day are in memory at once."""
        for event in events(self.connection, OF_PARTS, self.community, self.community):
            del event["event_id"]
            event["community_id"] = self.community
            metadata = event.pop("metadata")
            has_emoji = isinstance(metadata, dict) and "emoji" in metadata
            row = {name: sys.intern(value) if isinstance(value, str) else value for name, value in event.items()}
            yield row | {"metadata": {"emoji": metadata["emoji"]} if has_emoji else NOTHING}
