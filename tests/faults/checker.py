"""The checker: after faults, was nothing lost and nothing counted twice?

In come the producers' ledgers (see `ledger`), a database and a Redis; out goes a `Report` with a verdict on each of the
invariants in `docs/reliability.md`. It waits until the system is at rest, reads the tables in one snapshot, and
recomputes the highlights with `tests.reference`. Nothing here comes from the package.

    python -m tests.faults.checker --ledgers FOLDER --database-url URL --redis-url URL --json report.json \\
        --compute "participation highlights compute"

Ends with 0 if all hold, 1 if one does not, 2 if it could not check.
"""

import argparse
import json
import shlex
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfoNotFoundError

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults import ledger as ledgers
from tests.faults import tables
from tests.faults.ledger import (
    ACCEPTED,
    AMBIGUOUS,
    DEAD,
    REPLAYED,
    SENT,
    STORED,
    WAITING,
    CannotCheck,
    Event,
    Ledger,
    Raw,
)
from tests.faults.recount import check_highlights
from tests.faults.report import EXAMPLES, Report, Verdict
from tests.faults.tables import ANSWER_SECONDS, Letter, reading, rows

__all__ = ["CannotCheck", "Report", "Verdict", "check", "main"]

POLL_SECONDS: Final = 0.1
QUOTED: Final = 500

LEFT: Final = ("participation.events", "participation.batch", "participation.flush")
"""How the names of all keys begin that must be gone at rest."""

SAME_ID: Final = """
SELECT event_id, count(*), min(community_id), min(occurred_at), max(occurred_at)
FROM participation_events GROUP BY event_id HAVING count(*) > 1
"""
BATCHES: Final = "SELECT batch_id, received, stored, duplicates, dead FROM ingest_batches"
NAMES: Final = """
SELECT community_id, platform, account_id, name, to_char(seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM account_names
"""
RECEIVED: Final = "SELECT coalesce(sum(received), 0) FROM ingest_batches"


def check(
    folder: Path,
    database_url: str,
    redis_url: str,
    *,
    within: float = 60.0,
    compute: Sequence[str] = (),
    spools: Sequence[Path] = (),
) -> Report:
    """Wait for rest, at most `within` seconds, then check everything. Raises `CannotCheck`.

    compute: a command that computes all highlights, each time that it is run; it is run twice. Without it only days
    that have rows are compared.
    """
    report = Report()
    try:
        wait_for_rest(report, redis_url, database_url, within, spools)
        ledger = ledgers.read(folder)
        report.notes += ledger.notes
        with reading(database_url) as connection:
            check_letters(report, ledger, connection)
            check_events(report, ledger, connection)
            check_batches(report, connection)
            check_names(report.verdicts["I8"], folder, connection)
        count(report, ledger)
        del ledger
        check_highlights(report.verdicts["I6"], database_url, compute)
    except (RedisError, psycopg2.Error, OSError, ZoneInfoNotFoundError) as error:
        raise CannotCheck(f"{type(error).__name__}: {str(error).strip()}") from error
    return report


def wait_for_rest(report: Report, redis_url: str, database_url: str, within: float, spools: Sequence[Path]) -> None:
    """I3 and I7: look until nothing is left anywhere and nothing moves."""
    begun = time.monotonic()
    left, received = look(redis_url, database_url, spools)
    seconds = 0.0
    while seconds <= within and report.rest_seconds is None:
        time.sleep(POLL_SECONDS)
        seconds, before = time.monotonic() - begun, received
        left, received = look(redis_url, database_url, spools)
        if not left and received == before:
            report.rest_seconds = round(seconds, 3)
    if received is None:
        raise CannotCheck(f"not there after {seconds:.0f} s: {', '.join(left)}")
    at_rest, bounded = report.verdicts["I3"], report.verdicts["I7"]
    at_rest.said = f"{len(left) or 'nothing'} left in Redis" + f" and {len(spools)} spool(s)" * bool(spools)
    for thing in left:
        at_rest.fail("{}", thing)
    bounded.said = f"{'no rest' if report.rest_seconds is None else 'at rest'} after {seconds:.1f} s"
    if report.rest_seconds is None:
        bounded.fail("{}", ", ".join(left[:EXAMPLES]) or "the sum of ingest_batches.received still changes")


def look(redis_url: str, database_url: str, spools: Sequence[Path]) -> tuple[list[str], int | None]:
    """Return what is left, and how many elements were received: None while a server does not answer."""
    left = [f"spool file {path}" for spool in spools for path in sorted(spool.rglob("*")) if path.is_file()]
    try:
        # Whoever waits for a server that comes back asks again by itself.
        with Redis.from_url(
            redis_url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as redis:
            left += left_in(redis)
        with reading(database_url) as connection:
            return left, _received(connection)
    except (RedisError, psycopg2.OperationalError) as error:
        return [str(error).strip()], None


def _received(connection: Connection) -> int:
    ((received,),) = rows(connection, RECEIVED)
    return int(received)


def left_in(redis: Redis) -> Iterator[str]:
    keys: list[bytes] = sorted(redis.scan_iter("participation.*", count=1_000))
    for key in keys:
        name = key.decode(errors="backslashreplace")
        if name.startswith(LEFT):
            kind = str(redis.type(key), "ascii")  # type: ignore[arg-type]
            size = {"list": redis.llen, "zset": redis.zcard}.get(kind, redis.exists)(key)
            yield f"Redis {kind} {name!r} ({size})"


def check_letters(report: Report, ledger: Ledger, connection: Connection) -> None:
    """Dead letters: each was sent (I1), no more often than it was sent (I2), and holds what was sent (I5)."""
    waiting: Counter[int] = Counter()
    for letter in tables.letters(connection):
        report.letters += 1
        if not letter.agrees():
            report.verdicts["I5"].fail("{}: its raw has another length or hash than the letter says", letter)
        raw, event = ledger.raw(letter.raw_sha256, sha256(letter.raw).digest()), ledgers.unpack(letter.raw)
        if raw is not None:
            _check_raw(report, ledger, letter, raw)
            if event is not None and letter.replayed:
                ledger.add(event, REPLAYED, raw.place)
        elif event is None or (number := ledger.numbers.get(ledgers.identity(event))) is None:
            report.verdicts["I1"].fail("{} is from nowhere: {}", letter, letter.raw[:QUOTED])
        else:
            _check_letter(report, ledger, letter, event, number)
            waiting[number] += not letter.replayed
    for number, letters in waiting.items():
        if letters > ledger.sent[number]:
            report.verdicts["I2"].fail("{} dead letters of {}", letters, ledger.line(number))


def _check_raw(report: Report, ledger: Ledger, letter: Letter, raw: Raw) -> None:
    raw.letters += 1
    raw.replayed += letter.replayed
    verdict, line = report.verdicts["I5"], ledger.at(raw.place)
    if letter.reason not in raw.reasons:
        verdict.fail("{} has another reason than {}", letter, line)
    if sha256(letter.raw).digest() != raw.head or (letter.raw_bytes, letter.raw_sha256) != (raw.size, raw.whole):
        verdict.fail("{} has other bytes, length or hash than {}", letter, line)


def _check_letter(report: Report, ledger: Ledger, letter: Letter, event: Event, number: int) -> None:
    """Check the letter of what a ledger knows as an event, valid or not."""
    ledger.flags[number] |= DEAD if letter.replayed else DEAD | WAITING
    if not ledger.says(number, ledgers.payload(event)):
        report.verdicts["I5"].fail("{} holds {}, sent was {}", letter, event, ledger.line(number))


def check_events(report: Report, ledger: Ledger, connection: Connection) -> None:
    """Rows: each was sent (I1), none is twice (I2), each holds what was sent (I5)."""
    for event in tables.events(connection):
        report.rows += 1
        _check_event(report, ledger, event)
    for event_id, times, community, first, last in rows(connection, SAME_ID):
        report.verdicts["I2"].fail(
            "event_id {} is there {} times, first in {!r} at {}, last at {}", event_id, times, community, first, last
        )


def _check_event(report: Report, ledger: Ledger, event: Event) -> None:
    number = ledger.numbers.get(ledgers.identity(event))
    if number is None:
        number = ledger.add(event, 0, 0)
    flags = ledger.flags[number]
    if not flags & SENT:
        report.verdicts["I1"].fail("row from nowhere: {}", event)
    elif not ledger.says(number, ledgers.payload(event)):
        report.verdicts["I5"].fail("row {}, sent was {}", event, ledger.line(number))
    if flags & STORED:
        report.verdicts["I2"].fail("another row of the same event: {}", event)
    elif flags & WAITING:
        report.verdicts["I2"].fail("row of what is also in a dead letter that was not replayed: {}", event)
    ledger.flags[number] |= STORED


def check_batches(report: Report, connection: Connection) -> None:
    """I4: the books agree with themselves and with the tables."""
    verdict, sums = report.verdicts["I4"], [0, 0, 0, 0]
    batches = 0
    for batch_id, *counts in rows(connection, BATCHES):
        batches += 1
        received, *parts = counts
        sums = [total + more for total, more in zip(sums, counts, strict=True)]
        if received != sum(parts) or min(counts) < 0:
            verdict.fail("batch {}: received, stored, duplicates, dead = {}", batch_id, counts)
    verdict.said = "{:,} batches: {:,} received, {:,} stored, {:,} duplicates, {:,} dead".format(batches, *sums)
    _, stored, _, dead = sums
    if stored != report.rows:
        verdict.fail("the batches have stored {}, the table holds {} rows", stored, report.rows)
    if dead != report.letters:
        verdict.fail("the batches count {} dead, the table holds {} letters", dead, report.letters)


def check_names(verdict: Verdict, folder: Path, connection: Connection) -> None:
    """I8: of each account the latest name that was accepted is there, or one that was sent after it."""
    sent: defaultdict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    accepted: dict[tuple[str, ...], str] = {}
    for file in sorted(folder.glob("*.names")):
        for line in map(json.loads, file.read_text("utf-8").splitlines()):
            name = line["name"]
            key = (name["community_id"], name["platform"], name["id"])
            sent[key][name["seen_at"]] = name["name"]
            if line["accepted"]:
                accepted[key] = max(accepted.get(key, ""), name["seen_at"])
    found: dict[tuple[str, ...], tuple[str | None, str]] = {
        tuple(row[:3]): (row[3], row[4]) for row in rows(connection, NAMES)
    }
    for account, seen_at in accepted.items():
        stored, at = found.get(account, (None, ""))
        if at < seen_at or sent[account].get(at) != stored:
            verdict.fail("{} is called {!r} since {!r}, accepted was {}", account, stored, at, seen_at)
    verdict.said = f"{len(accepted):,} accounts have names, {len(found):,} are stored"


def count(report: Report, ledger: Ledger) -> None:
    """I1: what was accepted is there. Also sum up, and I2 for raws, which are counted, not recognised."""
    for number, flags in enumerate(ledger.flags):
        if flags & ACCEPTED:
            report.accepted += 1
            if flags & STORED:
                report.stored += 1
            elif flags & DEAD:
                report.dead += 1
            else:
                report.lost += 1
                report.verdicts["I1"].fail("lost: {}", ledger.line(number))
        elif flags & AMBIGUOUS:
            report.ambiguous += 1
            report.there += flags & (STORED | DEAD) != 0
    for raw in ledger.raws.values():
        _count_raw(report, ledger, raw)
    _sum_up(report)


def _count_raw(report: Report, ledger: Ledger, raw: Raw) -> None:
    lost = max(raw.accepted - raw.letters, 0)
    report.accepted += raw.accepted
    report.dead += raw.accepted - lost
    report.lost += lost
    report.ambiguous += raw.ambiguous
    report.there += min(max(raw.letters - raw.accepted, 0), raw.ambiguous)
    if lost:
        report.verdicts["I1"].fail("lost {} of {} elements: {}", lost, raw.accepted, ledger.at(raw.place))
    # A replay may have made one more letter, or a row.
    if raw.letters - raw.replayed > raw.accepted + raw.ambiguous:
        report.verdicts["I2"].fail(
            "{} dead letters, {} of them replayed, of what was sent {} + {} times: {}",
            raw.letters,
            raw.replayed,
            raw.accepted,
            raw.ambiguous,
            ledger.at(raw.place),
        )


def _sum_up(report: Report) -> None:
    verdicts = report.verdicts
    report.double = verdicts["I2"].violations
    verdicts["I1"].said = (
        f"{report.accepted:,} accepted: {report.stored:,} stored, {report.dead:,} dead, {report.lost:,} lost; "
        f"{report.ambiguous:,} ambiguous: {report.there:,} there"
    )
    verdicts["I2"].said = verdicts["I5"].said = f"{report.rows:,} rows and {report.letters:,} dead letters"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ledgers", type=Path, required=True, help="folder of *.accepted and *.ambiguous")
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--within", type=float, default=60.0, metavar="SECONDS", help="longest wait for rest")
    parser.add_argument("--compute", default="", metavar="COMMAND", help="computes all highlights; run twice")
    parser.add_argument("--spool", type=Path, action="append", default=[], metavar="FOLDER", help="must be empty")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the report as JSON")
    options = parser.parse_args(arguments)
    try:
        report = check(
            options.ledgers,
            options.database_url,
            options.redis_url,
            within=options.within,
            compute=shlex.split(options.compute),
            spools=options.spool,
        )
    except CannotCheck as error:
        sys.stderr.write(f"cannot check: {error}\n")
        return 2
    sys.stdout.write(f"{report}\n")
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
