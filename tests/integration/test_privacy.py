"""Members' privacy on real servers: what forgetting leaves, what an opt-out keeps away, what nobody else loses."""

import json
import lzma
import threading
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson
import pytest
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy import event as listeners

from participation import keys, message
from participation.accounts import Account
from participation.errors import ConfigError, InvalidEvent, Unavailable
from participation.highlights.compute import compute_day
from participation.imports.sender import Import
from participation.ingest.claim import Limits, claim
from participation.ingest.flush import flush, store_elements
from participation.local.valkey import Valkey
from participation.operations import import_waiting
from participation.operations.replay import Replay
from participation.publish import Left, Publisher
from participation.store import locks
from participation.store.communities import settings
from participation.store.database import connect, transaction
from participation.store.days import due
from participation.store.dead_letters import Choice
from participation.store.ingest import import_counts
from participation.store.ingest.batches import Counts
from participation.store.members import links, opt_outs, persons, requests
from participation.store.schema.tables import metadata
from tests.integration.test_names import account, channel, notice
from tests.rows import event, is_waiting, put, stopped
from tests.worker import SECONDS, eventually

ID = "80351110224678912"
ADA = Account("discord", ID)
PERSON = f"ada-{ID}"
NAME = "Ada Lovelace"
LIMITS = Limits(size=5_000, waiting=100, open=100)
NASTY = ["ada", "1", 'a"b', "a'b", "a\\b", "a\tb\n", "\\N", "\\", "ä/ö", "😀 ada", "-100123", "irc:ada", "x" * 255]


def rows(engine: Engine, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), values)]


def execute(engine: Engine, statement: str, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def members_of(engine: Engine) -> list[str]:
    return [row[0] for row in rows(engine, "SELECT member_id FROM participation_events ORDER BY 1")]


def discord(**values: Any) -> dict[str, Any]:
    return event(platform="discord", **values)


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def drain(redis: Redis, engine: Engine) -> None:
    """Do what a worker does until the queue is empty."""
    while (batch_id := claim(redis, LIMITS)) is not None:
        redis.delete(keys.FLUSH)
        flush(redis, engine, batch_id)


def compute(engine: Engine, days: Sequence[due.Day]) -> None:
    for each in days:
        with transaction(engine) as connection:
            compute_day(connection, *each)


def compute_due(engine: Engine) -> None:
    with transaction(engine) as connection:
        days = due.list_due(connection)
    compute(engine, days)


def computed(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that was ever computed, but for when."""
    tables = ("member_daily_highlights", "community_daily_highlights")
    statement = "SELECT to_jsonb(t) - 'computed_at' FROM {} AS t ORDER BY 1"
    return {table: rows(engine, statement.format(table)) for table in tables}


# ---- what is looked for, and everywhere ----


def within(value: bytes) -> Iterator[bytes]:
    """Yield the bytes and what is packed into them: messages with a body, base64, compressed."""
    yield value
    with suppress(ValueError):
        envelope = orjson.loads(value)
        if isinstance(envelope, dict) and isinstance(envelope.get("body"), str):
            yield from within(envelope["body"].encode())
    with suppress(ValueError):
        yield from within(b64decode(value, validate=True))
    for start in range(min(len(value), 200)):  # the body of a message that was cut off is no JSON
        if value[start : start + 8] == b'"body":"':
            letters = value[start + 8 :].split(b'"')[0]
            yield from within(b64decode(letters[: len(letters) // 4 * 4]))
    with suppress(zlib.error):
        yield zlib.decompressobj().decompress(value)
    with suppress(lzma.LZMAError):
        yield lzma.LZMADecompressor().decompress(value)


def places(engine: Engine, redis: Redis, needle: str) -> list[str]:
    """Return where the text stands: every column of every table, and every key and value in Redis."""
    sought, found = needle.encode(), []
    columns = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
    with engine.connect() as connection:
        for table, column, kind in rows(engine, columns):
            cast = "" if kind == "bytea" else "::text"
            for value in connection.scalars(
                text(f'SELECT "{column}"{cast} FROM "{table}" WHERE "{column}" IS NOT NULL')
            ):
                layers = within(bytes(value)) if kind == "bytea" else [value.encode()]
                if any(sought in layer for layer in layers):
                    found.append(f"{table}.{column}")
    for key in redis.scan_iter():
        layers = [each for value in (key, *dumped(redis, key)) for each in within(value)]
        found += [f"redis {key.decode()}"] * any(sought in layer for layer in layers)
    return sorted(set(found))


def dumped(redis: Redis, key: bytes) -> list[bytes]:
    kind = redis.type(key)
    if kind == b"list":
        return redis.lrange(key, 0, -1)  # type: ignore[return-value]
    if kind == b"zset":
        return redis.zrange(key, 0, -1)  # type: ignore[return-value]
    return [redis.get(key)] if kind == b"string" else [bytes(each) for each in redis.smembers(key)]  # type: ignore


# ---- a rich database ----


def envelope(body: bytes, **more: Any) -> bytes:
    headers = {"task": keys.TRACK_EVENT, "lang": "py", **more.pop("headers", {})}
    properties = {"body_encoding": "base64", "delivery_tag": str(uuid4())}
    return json.dumps({"body": b64encode(body).decode(), "headers": headers, "properties": properties, **more}).encode()


def readable_letters() -> list[bytes]:
    """Messages whose event names the member or the author, and breaks a rule."""
    return [
        message.encode(discord(member_id=ID, event_type="SANG")),
        message.encode(discord(member_id=int(ID))),
        message.encode(discord(member_id="bob", object_author_id=ID, event_type="SANG")),
        message.encode({**discord(member_id=ID), "platform": "Discord"}),
        message.encode(discord(member_id="bob", author=ID)),
        envelope(orjson.dumps([[], {"event": discord(member_id=ID, channel_id=5)}, {}])),
    ]


def unreadable_letters() -> list[bytes]:
    """Messages that hold the member's id and no event."""
    call = orjson.dumps([[discord(member_id=ID)], {"more": 1}, {}])
    packed = zlib.compress(call)
    return [
        b'{"member_id": "' + ID.encode() + b'"',
        b'{"id": ' + ID.encode() + b", nothing",
        envelope(call),
        envelope(call[:-3]),
        envelope(packed, headers={"compression": "application/x-gzip"}),
        envelope(packed[:-6], headers={"compression": "application/x-gzip"}),
        envelope(lzma.compress(call), headers={"compression": "application/x-lzma"}),
        envelope(call, headers={"task": "other.task", "argsrepr": f"({{'member_id': '{ID}'}},)"}),
        envelope(call, **{"content-type": "application/x-yaml"}),
        json.dumps({"body": call.decode(), "headers": {"task": keys.TRACK_EVENT}}).encode(),
        json.dumps({"body": {"task": "x", "args": [discord(member_id=ID)]}}).encode(),
        message.encode(discord(member_id=ID, metadata={"x": "y" * 70_000})),
    ]


@cache
def letters_of_others() -> list[bytes]:
    """Dead letters that an id like the member's must not take along."""
    return [
        message.encode(event(member_id="bob", event_type="SANG", object_id=ID + "0")),
        message.encode(event(member_id=ID, event_type="SANG")),  # another platform
        message.encode(discord(member_id="1" + ID, event_type="SANG")),
        envelope(orjson.dumps([[discord(member_id="bob", object_id="x" + ID)], {"more": 1}, {}])),
        b'{"member_id": "' + ID.encode() + b'1"',
        b"nothing",
    ]


def events_of_ada() -> list[dict[str, Any]]:
    own: dict[str, Any] = {"member_id": ID}
    return [
        *[discord(object_id=f"m{n}", occurred_at=f"2026-03-{10 + n}T12:00:00Z", **own) for n in range(3)],
        discord(event_type="VOICE_JOINED", channel_id="v", occurred_at="2026-03-10T22:00:00Z", **own),
        discord(event_type="VOICE_LEFT", channel_id="v", occurred_at="2026-03-11T02:00:00Z", **own),
        discord(event_type="MEMBER_JOINED", occurred_at="2025-12-31T23:59:00Z", community_id="d", **own),
        discord(event_type="REACTION_ADDED", object_id="b1", object_author_id="bob", metadata={"emoji": "👍"}, **own),
        discord(event_type="REACTION_ADDED", object_id="m1", object_author_id=ID, metadata={"emoji": "👍"}, **own),
        discord(actor_kind="anonymous", occurred_at="2026-04-01T00:00:00Z", object_id="a", **own),
        event(member_id="ada_", object_id="i1", occurred_at="2026-03-12T12:00:00Z"),
    ]


def events_of_bob() -> list[dict[str, Any]]:
    reaction = {"event_type": "REACTION_ADDED", "member_id": "bob", "metadata": {"emoji": "🎉"}}
    return [
        *[discord(member_id="bob", object_id=f"b{n}", occurred_at=f"2026-03-{10 + n}T13:00:00Z") for n in range(4)],
        discord(object_id="m0", object_author_id=ID, occurred_at="2026-03-14T09:00:00Z", **reaction),
        discord(object_id="c0", object_author_id="cleo", occurred_at="2026-03-14T09:01:00Z", **reaction),
        event(member_id=ID, object_id="z", occurred_at="2026-03-15T09:01:00Z"),  # the same id, another platform
    ]


NAMES_OF_OTHERS: Final = [
    account(platform="discord", community_id="c", id="bob", name="Bob"),
    account(id=ID, name="Ida"),  # the same id, another platform
    channel(platform="discord", id=f"{ID}0", name="Quay"),
]


def names_of_ada() -> list[dict[str, Any]]:
    """Names in two communities and of both accounts, and one that breaks a rule, so that it becomes a dead letter."""
    own = {"name": NAME, "username": f"{NAME}.u"}
    return [
        *(account(platform="discord", community_id=each, id=ID, **own) for each in ("c", "d")),
        account(id="ada_", **own),
        account(platform="discord", id=ID, seen_at="yesterday", **own),
    ]


def fill(engine: Engine) -> None:
    """Fill every table that holds anything of a member, ada's accounts being linked, and compute all days."""
    put(engine, events_of_ada() + events_of_bob())
    with transaction(engine) as connection:
        links.link(connection, PERSON, [ADA, Account("irc", "ada_")])
        links.link(connection, "bob", [Account("discord", "bob"), Account("irc", "bob_")])
    store_elements(engine, "dead", [*readable_letters(), *unreadable_letters(), *letters_of_others()])
    store_elements(engine, "names", [notice(*names_of_ada(), *NAMES_OF_OTHERS)])
    imported = uuid4()
    store_elements(engine, "import", [message.encode(discord(member_id=ID, object_id="m9"), imported)])
    execute(engine, "UPDATE dead_letters SET replayed_at = now() WHERE id % 2 = 0")
    compute_due(engine)
    assert {row[0] for row in rows(engine, "SELECT DISTINCT member_id FROM member_daily_highlights")} == {
        PERSON,
        "bob",
        "discord:cleo",
        f"irc:{ID}",
    }


def of_others(engine: Engine) -> list[tuple[Any, ...]]:
    """Return every row that is not about ada, as it is but for the author of what was reacted to."""
    tables = {
        "participation_events": f"NOT (platform = 'discord' AND member_id = '{ID}') AND member_id <> 'ada_'",
        "member_accounts": "person_id = 'bob'",
        "account_names": f"NOT (platform = 'discord' AND account_id = '{ID}') AND account_id <> 'ada_'",
        "channel_names": "true",
        "communities": "true",
        "import_counts": "true",
        "ingest_batches": "true",
    }
    found = []
    for table, where in tables.items():
        found += rows(engine, f"SELECT '{table}', to_jsonb(t) FROM {table} AS t WHERE {where} ORDER BY 2")
    for _, row in found:
        if (row.get("platform"), row.get("object_author_id")) == ("discord", ID):
            row["object_author_id"] = None
    letters = rows(engine, "SELECT id, raw, replayed_at FROM dead_letters ORDER BY id")
    return found + [(each, bytes(raw), at) for each, raw, at in letters if bytes(raw) in letters_of_others()]


# ---- forgetting ----


@pytest.mark.parametrize("who", [ADA, PERSON, "irc:ada_"])
def test_forget__leaves_no_trace(engine: Engine, redis: Redis, who: requests.Who) -> None:
    """No table, no dead letter, no queue holds the member, however named; nobody else loses or gains anything."""
    fill(engine)
    others, before = of_others(engine), places(engine, redis, ID)
    assert len(others) == 7 + 2 + 2 + 1 + 4 + 6 + 3
    assert {place.split(".")[0] for place in before} >= {"participation_events", "member_accounts", "dead_letters"}
    redis.lpush(keys.EVENTS, *[message.encode(each) for each in (*events_of_ada(), *events_of_bob())])
    redis.lpush(keys.EVENTS, notice(*names_of_ada()))
    claimed = claim(redis, Limits(size=5, waiting=100, open=100))
    late = discord(member_id=ID, object_id="late", occurred_at=soon(1))
    redis.lpush(keys.EVENTS, message.encode(late), readable_letters()[0])

    erased = requests.forget(engine, who)

    assert (erased.person_id, set(erased.accounts)) == (PERSON, {ADA, Account("irc", "ada_")})
    assert (erased.events, erased.received) == (len(events_of_ada()) + 1, 1)
    assert erased.dead_letters == len(readable_letters()) + len(unreadable_letters()) + 1
    assert (erased.names, erased.links) == (3, 2)
    assert of_others(engine) == others
    flush(redis, engine, str(claimed))
    drain(redis, engine)
    redis.delete(keys.FLUSH)
    left = {place for place in places(engine, redis, ID) if "letters" not in place and "events" not in place}
    # The same id on irc, and a channel whose id begins with it.
    assert left == {"member_daily_highlights.member_id", "account_names.account_id", "channel_names.channel_id"}
    execute(engine, "DELETE FROM participation_events WHERE platform = 'irc'")
    execute(engine, "DELETE FROM member_daily_highlights WHERE member_id = :name", name=f"irc:{ID}")
    for letter in letters_of_others():
        execute(engine, "DELETE FROM dead_letters WHERE raw = :raw", raw=letter)
    execute(engine, "DELETE FROM account_names WHERE platform = 'irc'")
    execute(engine, "DELETE FROM channel_names")
    assert places(engine, redis, ID) == []
    assert places(engine, redis, "ada_") == []
    assert places(engine, redis, NAME) == []
    assert redis.keys("*") == []


def test_forget__reaches_what_waits_in_a_spool(
    engine: Engine, redis: Redis, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a bot had on its disk is left out when it arrives, and then it is nowhere on that disk either."""
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path))
    publisher = Publisher()
    redis.config_set("maxmemory", 1)
    try:
        for item in (discord(member_id=ID), discord(member_id="bob", object_author_id=ID, object_id="o")):
            publisher.track(item)
        publisher.note_names(names_of_ada()[:2])
        eventually(lambda: publisher.left() == Left(0, 3))
        assert any(ID.encode() in path.read_bytes() for path in tmp_path.iterdir())
        requests.forget(engine, ADA)
    finally:
        redis.config_set("maxmemory", 0)
    eventually(lambda: publisher.left() == Left(0, 0))
    publisher.close()
    drain(redis, engine)
    assert [*tmp_path.iterdir()] == []
    assert places(engine, redis, ID) == []
    assert members_of(engine) == ["bob"]


def test_forget__makes_due_what_it_touches_and_a_day_is_then_as_if_computed_anew(engine: Engine) -> None:
    """Every day on which the member counted, also as an author, is due; computed again it equals the raw events."""
    fill(engine)
    erased = requests.forget(engine, ADA)
    days = {("c", f"2026-03-{day}") for day in (10, 11, 12, 14)} | {("d", "2025-12-31")}
    assert {(community, str(day)) for community, day in erased.days} == days
    with transaction(engine) as connection:
        assert {(each[0], str(each[1])) for each in due.list_due(connection)} == days
    compute_due(engine)
    after = computed(engine)
    with transaction(engine) as connection:
        every = [day for name in ("c", "d") for day in due.days_between(connection, name, date.min, date.max)]
    execute(engine, "TRUNCATE member_daily_highlights, community_daily_highlights")
    compute(engine, every)
    assert computed(engine) == after
    assert len(after["community_daily_highlights"]) == 6


def test_forget__is_repeated_safely_and_what_comes_later_counts(engine: Engine) -> None:
    """Who is forgotten is not kept out: only events of before are, and those of later can be forgotten as well."""
    put(engine, [event()])
    assert requests.forget(engine, Account("irc", "ada")).events == 1
    assert put(engine, [event()]) == Counts(0, 0, 0, 0, opted_out=1)
    again = requests.forget(engine, Account("irc", "ada"))
    assert (again.events, again.days, again.links) == (0, set(), 0)
    execute(engine, "UPDATE opt_outs SET until = now() - interval '1 hour'")
    assert put(engine, [event(occurred_at=soon(-3_500)), event(occurred_at=soon(-3_700))]) == Counts(1, 1, 0, 0, 1)
    assert requests.forget(engine, Account("irc", "ada")).events == 1


@pytest.mark.parametrize("account_id", NASTY)
def test_forget__any_id(engine: Engine, account_id: str) -> None:
    """An id is an id, whatever characters it has, also for an opt-out; one that is like it is somebody else's."""
    like = [f"{account_id[:254]}2", account_id[:254].upper() + "X", "x" + account_id[1:254] + "y"]
    mine = event(member_id=account_id)
    theirs = [event(member_id=each, object_author_id=account_id, object_id="o") for each in like]
    odd = {**mine, "event_id": str(uuid4())}  # not plain: read the slow way
    put(engine, [mine, odd, *theirs])
    erased = requests.opt_out(engine, Account("irc", account_id))
    assert (erased.events, erased.received) == (2, 3)
    counts = put(engine, [mine, odd, *theirs, {**mine, "event_type": "SANG"}])
    assert counts is not None
    assert (counts.opted_out, counts.duplicates, counts.dead) == (3, 3, 0)
    authors = rows(engine, "SELECT count(*), count(object_author_id) FROM participation_events")
    assert authors == [(3, 0)]


def test_forget__person_is_one_name_for_all_accounts(engine: Engine) -> None:
    """An account that is not linked is the person of its own name; a name that means two is refused."""
    with transaction(engine) as connection:
        links.link(connection, "irc:ada", [Account("discord", "1")])
        links.link(connection, "bob", [Account("irc", "cleo"), Account("irc", "bob")])
        links.link(connection, "irc:cleo", [Account("discord", "2")])
    both = (Account("discord", "1"), Account("irc", "ada"))
    assert [requests.accounts(engine, who) for who in ("irc:ada", "discord:1", Account("irc", "ada"))] == [both] * 3
    assert requests.accounts(engine, Account("irc", "cleo")) == (Account("irc", "bob"), Account("irc", "cleo"))
    assert requests.accounts(engine, "discord:2") == (Account("discord", "2"),)
    assert requests.accounts(engine, "irc:nobody:at all") == (Account("irc", "nobody:at all"),)
    with pytest.raises(ConfigError, match="also an account of 'bob'"):
        requests.accounts(engine, "irc:cleo")
    for wrong in (Account("IRC", "ada"), Account("irc", ""), Account("irc", "\0")):
        with pytest.raises(InvalidEvent):
            requests.opt_out(engine, wrong)
    for nobody in ("ada", "", ":", "IRC:ada", "irc:"):
        with pytest.raises(ConfigError, match="write PLATFORM:ACCOUNT"):
            requests.forget(engine, nobody)


def test_forget__row_of_before_the_accounts_were_linked_goes_too(engine: Engine) -> None:
    """A day that was not computed since the linking names the account, and no longer after."""
    put(engine, [event()])
    compute_due(engine)
    with transaction(engine) as connection:
        links.link(connection, "countess", [Account("irc", "ada")])
    assert requests.forget(engine, "countess").highlights == 1
    assert rows(engine, "SELECT * FROM member_daily_highlights") == []


# ---- staying out ----


def test_opt_out__holds_for_what_is_queued_replayed_and_imported(engine: Engine, redis: Redis) -> None:
    """Whatever way an event comes, it is not kept, is counted as opted out, and nobody waits for it for ever."""
    store_elements(engine, "dead", [message.encode(discord(member_id=ID, event_type="LATER"))])
    (letter,) = rows(engine, "SELECT raw FROM dead_letters")
    requests.opt_out(engine, ADA)
    assert rows(engine, "SELECT * FROM dead_letters") == []
    statement = (
        "INSERT INTO dead_letters (reason, detail, raw, raw_bytes, raw_sha256, batch_id) VALUES ('x', '', :raw, "
    )
    execute(engine, statement + "length(:raw), sha256(:raw), 'b')", raw=bytes(letter[0]))
    repaired = discord(member_id=ID)
    replays = [Replay(Choice(), lambda _: None), Replay(Choice(replayed=None), lambda _: None, repaired)]
    for replay in replays:
        replay.send(redis, engine)
    imported = Import(redis, lambda _: None)
    for each in (*events_of_ada(), *events_of_bob()):
        imported.add(each)
    imported.finish()
    drain(redis, engine)
    waits = [(each.import_id, 1) for each in replays] + [(imported.import_id, imported.accepted)]
    tallies = [import_waiting.wait_until_stored(engine, *each, lambda *_: pytest.fail("it waits")) for each in waits]
    assert tallies == [
        import_counts.ImportCounts(0, 0, 0, 1),
        import_counts.ImportCounts(0, 0, 0, 1),
        import_counts.ImportCounts(8, 0, 0, 9),
    ]
    assert ID not in {
        row[0] for row in rows(engine, "SELECT member_id FROM participation_events WHERE platform = 'discord'")
    }
    books = "SELECT count(*) FROM ingest_batches WHERE received <> stored + duplicates + dead"
    assert rows(engine, books) == [(0,)]
    assert rows(engine, "SELECT sum(opted_out) FROM ingest_batches") == [(11,)]


def test_opt_out__keeps_a_hash_and_nothing_else(engine: Engine, redis: Redis) -> None:
    """The id stands nowhere; two accounts on two platforms share nothing that could be seen."""
    for platform in ("discord", "irc"):
        requests.opt_out(engine, Account(platform, ID))
    assert places(engine, redis, ID) == []
    hashes = rows(engine, "SELECT account_hash, until::text FROM opt_outs")
    assert [(len(bytes(each)), until) for each, until in hashes] == [(32, "infinity")] * 2
    assert len({bytes(each) for each, _ in hashes}) == 2
    assert rows(engine, "SELECT name, length(key) FROM hash_keys") == [("opt_outs", 32)]


def test_opt_in__what_was_before_stays_out(engine: Engine) -> None:
    """From the opt-in on events count again; those of the time before never come back."""
    ada = Account("irc", "ada")
    assert requests.opt_in(engine, ada) == ((ada,), 0)
    requests.opt_out(engine, ada)
    assert requests.kept(engine, ada).opted_out
    assert put(engine, [event(occurred_at=soon(60))]) == Counts(0, 0, 0, 0, 1)
    before = soon(0)
    assert requests.opt_in(engine, ada) == ((ada,), 1)
    assert requests.opt_in(engine, ada) == ((ada,), 0)
    assert not requests.kept(engine, ada).opted_out
    assert put(engine, [event(occurred_at=before), event(occurred_at=soon(30))]) == Counts(1, 1, 0, 0, 1)
    requests.forget(engine, ada)
    assert put(engine, [event(occurred_at=soon(30))]) == Counts(0, 0, 0, 0, 1)
    assert requests.opt_in(engine, ada) == ((ada,), 0)
    assert put(engine, [event(occurred_at=soon(30))]) == Counts(1, 1, 0, 0)


def test_forget__does_not_end_an_opt_out(engine: Engine) -> None:
    """Who had opted out and asks to be forgotten stays out."""
    requests.opt_out(engine, "irc:ada")
    requests.forget(engine, "irc:ada")
    assert requests.kept(engine, "irc:ada").opted_out


def test_store__author_who_opted_out_is_nobody(engine: Engine, database: str) -> None:
    """What others did stays theirs, and is the same event as ever; also a dead letter does not tell the author."""
    reaction = event(event_type="REACTION_ADDED", member_id="bob", object_id="1", object_author_id="ada")
    put(engine, [reaction])
    (before,) = rows(engine, "SELECT event_id FROM participation_events")
    requests.opt_out(engine, "irc:ada")
    assert put(engine, [reaction, {**reaction, "object_id": "2"}]) == Counts(2, 1, 1, 0)
    found = rows(engine, "SELECT event_id, object_author_id FROM participation_events ORDER BY object_id")
    assert found[0] == (*before, None)
    assert found[1][1] is None
    strict = connect(database)
    execute(strict, "ALTER TABLE participation_events ALTER member_id TYPE varchar(2)")
    requests.opt_out(strict, "irc:ada")
    assert put(strict, [reaction, {**reaction, "member_id": "bo"}]) == Counts(2, 1, 0, 1)
    ((raw, reason),) = rows(strict, "SELECT raw, reason FROM dead_letters")
    strict.dispose()
    assert reason == "rejected"
    assert message.decode(bytes(raw)).argument == {**reaction, "object_author_id": None}


def test_store__dead_letters_of_who_opted_out_are_not_kept(engine: Engine) -> None:
    """A message whose event can be read is left out, however long and wrong it is, in the books of its import, too."""
    requests.opt_out(engine, ADA)
    imported = uuid4()
    long = message.encode(discord(member_id=ID, metadata={"x": "y" * 100_000}), imported)
    undated = message.encode(discord(member_id=ID, occurred_at="yesterday"), imported)
    assert store_elements(engine, "b", [long, undated, *readable_letters()[:4]]) == Counts(0, 0, 0, 0, 6)
    assert rows(engine, "SELECT dead, opted_out FROM import_counts WHERE import_id = :id", id=imported) == [(0, 2)]
    assert store_elements(engine, "b2", letters_of_others()) == Counts(6, 0, 0, 6)


def test_store__lost_key_is_told(engine: Engine) -> None:
    """Without its key a list of hashes keeps nobody out: that must not go unnoticed."""
    requests.opt_out(engine, "irc:ada")
    execute(engine, "DELETE FROM hash_keys")
    with pytest.raises(ConfigError, match="hash_keys does not contain the key"):
        put(engine, [event()])


# ---- at the same time ----


def test_opt_out__flush_that_looked_before_is_waited_for(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush between its look and its commit does not bring back who opts out meanwhile."""
    with ThreadPoolExecutor(2) as pool:
        with stopped("after_copy", tmp_path / "marker", monkeypatch) as wait:
            flushing = pool.submit(put, engine, [event(), event(member_id="bob")])
            wait()
            asking: Future[requests.Erased] = pool.submit(requests.opt_out, engine, Account("irc", "ada"))
            eventually(lambda: is_waiting(engine, locks.OPT_OUTS))
            assert not asking.done()
        assert flushing.result() == Counts(2, 2, 0, 0)
        assert asking.result().events == 1
    assert members_of(engine) == ["bob"]


def test_opt_out__flush_that_waited_for_it_knows(engine: Engine) -> None:
    """A flush that comes while somebody opts out looks only when that is committed."""
    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as connection:
            opt_outs.add(connection, [Account("irc", "ada")], forever=True)
            flushing = pool.submit(put, engine, [event(), event(member_id="bob")])
            eventually(lambda: is_waiting(engine, locks.OPT_OUTS))
        assert flushing.result() == Counts(1, 1, 0, 0, 1)


def test_forget__computation_that_read_before_is_waited_for(engine: Engine) -> None:
    """A day that is being computed while its events are erased does not write the member's row again."""
    put(engine, [event()])
    ((day,),) = rows(engine, "SELECT highlight_date FROM due_days")
    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as connection:
            compute_day(connection, "c", day)
            asking = pool.submit(requests.forget, engine, Account("irc", "ada"))
            eventually(lambda: is_waiting(engine, locks.COMPUTATIONS))
            assert members_of(engine) == []
        assert asking.result().highlights == 1
    assert rows(engine, "SELECT member_id FROM member_daily_highlights") == []
    assert rows(engine, "SELECT DISTINCT highlight_date FROM due_days") == [(day,)]


def test_forget__ingest_goes_on_and_a_failure_says_run_it_again(engine: Engine, shared_url: str) -> None:
    """While an erasure waits others' events are stored; when it gives up, nothing new is kept; a repeat ends it."""
    put(engine, [event(), event(occurred_at="2026-04-10T12:00:00Z")])
    hasty = connect(shared_url, lock_timeout_seconds=0.5)
    with ThreadPoolExecutor(1) as pool, transaction(engine) as holder:
        holder.execute(text("SELECT FROM participation_events WHERE occurred_at > '2026-04-01' FOR UPDATE"))
        asking = pool.submit(requests.forget, hasty, Account("irc", "ada"))
        eventually(lambda: rows(engine, "SELECT count(*) FROM participation_events") == [(1,)])
        assert put(engine, [event(member_id="bob"), event(object_id="new")]) == Counts(1, 1, 0, 0, 1)
        with pytest.raises(Unavailable, match="not everything is erased yet: run it again"):
            asking.result()
    hasty.dispose()
    assert members_of(engine) == ["ada", "bob"]
    assert requests.forget(engine, Account("irc", "ada")).events == 1
    assert members_of(engine) == ["bob"]


def test_forget__two_who_reacted_to_each_other_at_once(engine: Engine) -> None:
    """Two erasures of the same rows do not wait for each other in a circle."""
    pairs = [("ada", "bob"), ("bob", "ada")]
    reactions = [
        event(event_type="REACTION_ADDED", member_id=one, object_author_id=other, object_id=str(number))
        for number in range(2_000)
        for one, other in pairs
    ]
    put(engine, [*reactions, event(member_id="cleo")])
    begin = threading.Barrier(2)

    def forget(name: str) -> requests.Erased:
        begin.wait(SECONDS)
        return requests.forget(engine, Account("irc", name))

    with ThreadPoolExecutor(2) as pool:
        erased = list(pool.map(forget, ("ada", "bob")))
    assert [each.events for each in erased] == [2_000, 2_000]
    assert members_of(engine) == ["cleo"]


def test_store__community_that_goes_meanwhile_is_made_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events whose community is deleted after it was seen are tried again: no day may be left uncounted."""
    ensure = settings.create_missing

    def made_and_gone(engine: Engine, last: dict[str, str]) -> None:
        ensure(engine, last)
        execute(engine, "DELETE FROM communities")

    with monkeypatch.context() as patch:
        patch.setattr(settings, "create_missing", made_and_gone)
        with pytest.raises(Unavailable, match="a community was deleted"):
            put(engine, [event()])
    assert put(engine, [event()]) == Counts(1, 1, 0, 0)
    assert rows(engine, "SELECT count(*) FROM due_days") == [(1,)]


# ---- what is kept ----


def test_kept_and_export__are_complete_and_of_nobody_else(engine: Engine) -> None:
    """The numbers and the file agree with the tables; ids of others are in neither."""
    fill(engine)
    kept = requests.kept(engine, PERSON).summary
    lines = [orjson.loads(line) for line in requests.export(engine, PERSON)]
    kinds = [line["kind"] for line in lines]
    assert kinds[:3] == ["about", "link", "link"]
    assert kinds.count("event") == sum(kept.events.values()) == len(events_of_ada()) + 1
    assert kinds.count("reaction_received") == kept.received == 1
    assert kinds.count("highlight") == kept.highlight_days > 0
    assert kinds.count("dead_letter") == kept.dead_letters == 4
    assert (kept.communities, kept.first_at) == (("c", "d"), datetime(2025, 12, 31, 23, 59, tzinfo=UTC))
    assert kept.events["VOICE_LEFT"] == 1
    assert b"bob" not in b"".join(requests.export(engine, PERSON))
    own = next(line for line in lines if line["kind"] == "event" and line["object_id"] == "m1")
    assert set(own) == {"kind", *metadata.tables["participation_events"].columns.keys()}
    requests.forget(engine, PERSON)
    assert requests.kept(engine, ADA).summary.is_empty
    assert [orjson.loads(line)["kind"] for line in requests.export(engine, ADA)] == ["about"]


def test_person__whose_links_change_meanwhile_is_not_taken_for_another(engine: Engine) -> None:
    """Between two looks at the links nobody else is erased in place of who asked: it is to be tried again."""
    ben = Account("discord", "ben")
    for others in ([], [ben]):
        with transaction(engine) as connection:
            links.link(connection, PERSON, [ADA, *others])

        def unlink(*_: Any) -> None:
            with transaction(engine) as other:
                links.unlink(other, [ADA])

        with transaction(engine) as connection:
            listeners.listen(connection, "after_cursor_execute", unlink)
            with pytest.raises(Unavailable, match="being changed right now: try again"):
                persons.person_of_account(connection, ADA)
