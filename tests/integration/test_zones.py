"""Which time zones a community can have, and what an operator learns about those that it has."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import TZPATH

import pytest
from sqlalchemy import Engine, make_url, text

from participation.errors import ConfigError
from participation.store.communities import settings, zones
from participation.store.database import connect, transaction
from tests.commands import run
from tests.integration.test_days import compute, days, set_zone
from tests.rows import event, put

SUMMER, WINTER = datetime(2026, 7, 15, 12, tzinfo=UTC), datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def own_engine(environment: None, database: str) -> Iterator[Engine]:
    """A database whose settings a test may change, and which the commands use."""
    engine = connect(database)
    yield engine
    engine.dispose()


def store_zones(engine: Engine, names: dict[str, str]) -> None:
    """Store communities and their zones as an older version did, or a query by hand."""
    statement = "INSERT INTO communities (community_id, timezone) VALUES (:community_id, :timezone)"
    with engine.begin() as connection:
        connection.execute(text(statement), [{"community_id": c, "timezone": zone} for c, zone in names.items()])


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("CET", "Europe/Brussels"),
        ("cet", "Europe/Brussels"),
        ("MET", "Europe/Brussels"),
        ("EET", "Europe/Athens"),
        ("WET", "Europe/Lisbon"),
        ("EST", "America/Panama"),
        ("MST", "America/Phoenix"),
        ("HST", "Pacific/Honolulu"),
        ("EST5EDT", "America/New_York"),
        ("CST6CDT", "America/Chicago"),
        ("MST7MDT", "America/Denver"),
        ("PST8PDT", "America/Los_Angeles"),
        ("GMT", "UTC"),
        ("Zulu", "UTC"),
        ("posix/Europe/Berlin", "Europe/Berlin"),
        ("right/Europe/Berlin", "Europe/Berlin"),
        ("posix/CET", "Europe/Brussels"),
        ("localtime", "an IANA name, for example Europe/Berlin"),
        ("Factory", "an IANA name, for example Europe/Berlin"),
    ],
)
def test_zone__that_depends_on_the_server_is_refused(engine: Engine, name: str, instead: str) -> None:
    """Abbreviations, files that not every server has, and the server's own clock; the text names what to use."""
    with pytest.raises(ConfigError) as raised:
        set_zone(engine, name)
    assert str(raised.value) == f"the time zone {name!r} does not mean the same on every server: use {instead}"


@pytest.mark.parametrize("name", ["EST5", "<+03>-3", "CEST", "IST", "PDT", "+02", "Europe/", "", "Europe/Berlin "])
def test_zone__that_is_no_name_of_a_place_is_unknown(engine: Engine, name: str) -> None:
    """PostgreSQL would take most of them for an offset, with no or with made-up summer time."""
    with pytest.raises(ConfigError, match="unknown time zone"):
        set_zone(engine, name)


@pytest.mark.parametrize(
    ("written", "stored"),
    [("europe/brussels", "Europe/Brussels"), ("utc", "UTC"), ("Etc/GMT+5", "Etc/GMT+5"), ("japan", "Japan")],
)
def test_zone__is_stored_as_postgresql_spells_it(engine: Engine, written: str, stored: str) -> None:
    """Other programs that read the table may tell upper and lower case apart."""
    set_zone(engine, written)
    with transaction(engine) as connection:
        assert [each.timezone for each in settings.list_communities(connection)] == [stored]


def test_zone__counts_with_summer_time(engine: Engine) -> None:
    """Half an hour after midnight in Brussels is the next day there, whatever the day was under CET."""
    store_zones(engine, {"c": "CET"})
    put(engine, [event(occurred_at="2026-07-14T22:30:00Z")])
    compute(engine)
    assert days(engine) == {"2026-07-14": 1}
    set_zone(engine, "Europe/Brussels")
    compute(engine)
    assert days(engine) == {"2026-07-15": 1}


def test_zone__that_is_accepted_means_the_same_with_all_lists_of_abbreviations(
    own_engine: Engine, administrator: Engine, database: str
) -> None:
    """No accepted name is an abbreviation anywhere; with Australia's list EST is one of +10 hours."""
    with own_engine.connect() as connection:
        names = list(connection.scalars(text("SELECT name FROM pg_timezone_names")))
    store_zones(own_engine, {name: name for name in names})
    offsets, refused = set(), set()
    for abbreviations in ("Default", "Australia", "India"):
        with administrator.connect() as connection:
            name = make_url(database).database
            connection.execute(text(f"ALTER DATABASE {name} SET timezone_abbreviations = '{abbreviations}'"))
        own_engine.dispose()
        with transaction(own_engine) as connection:
            in_use = zones.in_use(connection)
            clear = sorted(each.timezone for each in in_use if each.fault is None)
            refused.add(frozenset(each.timezone for each in in_use if each.fault is not None))
            offsets.add(tuple((zone, *zones.offsets(connection, zone, [SUMMER, WINTER])) for zone in clear))
            est = zones.offsets(connection, "EST", [SUMMER])
        assert est == [36_000 if abbreviations == "Australia" else -18_000]
    assert len(offsets) == len(refused) == 1
    assert len(next(iter(offsets))) > 500
    assert {"CET", "EET", "EST", "GMT", "Factory"} <= next(iter(refused))


def test_commands__name_communities_with_a_zone_that_depends_on_the_server(own_engine: Engine) -> None:
    """`migrate` and `doctor` tell which, and the command that puts each right; afterwards both are content."""
    store_zones(own_engine, {"harbour": "CET", "my quay": "europe/berlin", "pier": "localtime", "deck": "Asia/Tokyo"})
    told = run("migrate").stderr.decode()
    assert told.splitlines() == [
        "warning: the time zone 'CET' of 'harbour' is not accepted any more: "
        "run `participation communities set harbour --timezone Europe/Brussels`",
        "warning: the time zone 'europe/berlin' of 'my quay' is not accepted any more: "
        "run `participation communities set 'my quay' --timezone Europe/Berlin`",
        "warning: the time zone 'localtime' of 'pier' is not accepted any more: "
        "run `participation communities set pier --timezone ZONE`",
    ]
    (check,) = zone_checks()
    assert (check["level"], check["found"]) == ("warn", "CET of harbour, europe/berlin of my quay, localtime of pier")
    assert "`participation communities set 'my quay' --timezone Europe/Berlin`" in check["cure"]
    for community, zone in (("harbour", "Europe/Brussels"), ("my quay", "Europe/Berlin"), ("pier", "UTC")):
        run("communities", "set", community, "--timezone", zone)
    assert run("migrate").stderr == b""
    assert [check["level"] for check in zone_checks()] == ["ok"]


def test_doctor__says_from_when_on_postgresql_and_python_differ(
    own_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of zones that is old is found by comparing the two, for the zones that communities use."""
    for name, like in (
        ("Asia/Tokyo", "Asia/Seoul"),
        ("Africa/Lagos", "Africa/Nairobi"),
        ("America/Lima", "Asia/Tokyo"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(zone_file(like), tmp_path / name)
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path))
    store_zones(own_engine, {"same": "Asia/Tokyo", "harbour": "Africa/Lagos", "quay": "Africa/Lagos"})
    (check,) = zone_checks()
    assert check["level"] == "warn"
    assert check["found"].startswith("Africa/Lagos: PostgreSQL and Python differ from 20")
    assert check["found"].endswith("(used by harbour, quay)")
    assert "participation highlights compute --community ID --from 20" in check["cure"]


def test_doctor__finds_another_hour_of_a_change(
    own_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two zones with the same offsets whose clocks change an hour apart differ for that hour alone."""
    (tmp_path / "Europe").mkdir()
    shutil.copy(zone_file("Europe/Berlin"), tmp_path / "Europe/Warsaw")
    (tmp_path / "America").mkdir()
    shutil.copy(zone_file("America/Chicago"), tmp_path / "America/Winnipeg")
    shutil.copy(zone_file("America/Havana"), tmp_path / "America/New_York")
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path))
    store_zones(own_engine, {"a": "Europe/Warsaw", "b": "America/Winnipeg", "c": "America/New_York"})
    (check,) = zone_checks()
    assert check["found"].startswith("America/New_York: ")


def zone_file(name: str) -> Path:
    """A zone of this machine, as a file."""
    return next(file for file in (Path(folder) / name for folder in TZPATH) if file.exists())


def zone_checks() -> list[dict[str, str]]:
    report = json.loads(run("doctor", "--json", code=1).stdout)
    return [each for each in report["checks"] if each["name"] == "time zones"]
