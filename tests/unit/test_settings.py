"""Settings: their defaults, where they come from and in which order, and what is said when one is wrong."""

import os
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from participation import settings
from participation.errors import ConfigError
from participation.settings import Settings, load, read

DEFAULTS = {
    "database_url": None,
    "redis_url": None,
    "publish_timeout_seconds": 2.0,
    "publish_queue": 20_000,
    "spool_dir": Path("~/.local/share/participation/spool"),
    "spool_megabytes": 256,
    "discord_token": None,
    "claim_interval_seconds": 0.05,
    "batch_size": 5_000,
    "open_batches": 64,
    "sweep_after_seconds": 60.0,
    "lock_timeout_seconds": 10.0,
    "task_time_limit_seconds": 300.0,
    "compute_interval_seconds": 300.0,
    "partitions_ahead_months": 3,
    "deletion_grace_days": 30,
    "privacy_contact": None,
    "batch_retention_days": 7,
    "names": "on",
    "flower_basic_auth": None,
    "flower_port": None,
    "telegram_token": None,
    "telegram_api_url": "https://api.telegram.org",
}


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is set, no `.env` lies in the current folder, and no `participation up` has run in this data folder."""
    ours = ("PARTICIPATION_", "DATABASE_URL", "REDIS_URL", "FLOWER_")
    for name in [name for name in os.environ if name.upper().startswith(ours)]:
        monkeypatch.delenv(name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    return tmp_path


def refusal() -> str:
    """Return what is said about the settings as they are, which must be one line."""
    with pytest.raises(ConfigError) as caught:
        read(Path(".env"))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_load__has_a_default_for_everything_but_the_servers() -> None:
    """Without any setting the defaults hold and no server is known."""
    assert load().model_dump() == DEFAULTS


def test_load__reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting is found under its name, those of this package behind `PARTICIPATION_`."""
    values = {
        "database_url": "postgresql://u:p@h:5432/n",
        "redis_url": "rediss://:p@h:6379/1",
        "publish_timeout_seconds": 0.5,
        "publish_queue": 100,
        "spool_dir": Path("/spool"),
        "spool_megabytes": 9,
        "discord_token": "d.s3cret",
        "claim_interval_seconds": 1.0,
        "batch_size": 1,
        "open_batches": 2,
        "sweep_after_seconds": 3.0,
        "lock_timeout_seconds": 4.0,
        "task_time_limit_seconds": 4.5,
        "compute_interval_seconds": 5.0,
        "partitions_ahead_months": 6,
        "deletion_grace_days": 9,
        "privacy_contact": "privacy@example.org",
        "batch_retention_days": 8,
        "names": "off",
        "flower_basic_auth": "ada:s3cret",
        "flower_port": 5556,
        "telegram_token": "1:s3cret",
        "telegram_api_url": "http://h:8081",
    }
    for name, value in values.items():
        foreign = name in {"database_url", "redis_url"} or name.startswith("flower_")
        monkeypatch.setenv(name.upper() if foreign else f"PARTICIPATION_{name.upper()}", str(value))
    assert load().model_dump() == {
        **values,
        "flower_basic_auth": SecretStr("ada:s3cret"),
        "telegram_token": SecretStr("1:s3cret"),
        "discord_token": SecretStr("d.s3cret"),
    }


def test_load__goes_from_the_environment_over_env_to_a_running_up(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment goes before `.env`, and that before the servers of a running `participation up`."""
    (data_dir / "env").write_text("REDIS_URL=redis://up\nDATABASE_URL=postgresql://up\nPARTICIPATION_BATCH_SIZE=1\n")
    Path(".env").write_text("REDIS_URL=redis://dotenv\nDATABASE_URL=postgresql://dotenv\n")
    monkeypatch.setenv("REDIS_URL", "redis://environment")
    configured = load()
    assert configured.redis() == "redis://environment"
    assert configured.database() == "postgresql://dotenv"
    assert configured.batch_size == 1


def test_load__finds_a_running_up_without_any_setting(data_dir: Path) -> None:
    """Whoever runs `participation up` need not set anything for the other commands."""
    (data_dir / "env").write_text("REDIS_URL=redis://up\nDATABASE_URL=postgresql://up\n")
    assert (load().redis(), load().database()) == ("redis://up", "postgresql://up")


def test_load__account_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers run under numbers that no account has: there is no home to look into, and that is no error."""

    def no_home(path: Path) -> Path:
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(settings, "DATA_DIR", Path("~/somewhere"))
    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.setenv("REDIS_URL", "redis://h")
    assert load().redis() == "redis://h"


def test_load__reads_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may complete its environment after it has imported us."""
    assert load().batch_size == 5_000
    monkeypatch.setenv("PARTICIPATION_BATCH_SIZE", "1")
    assert load().batch_size == 1


def test_read__ignores_what_is_of_others() -> None:
    """A `.env` that Docker Compose reads, too, holds names that are none of ours."""
    Path(".env").write_text("POSTGRES_PASSWORD=x\nPARTICIPATION_UNKNOWN=1\n# comment\n\nexport REDIS_URL='redis://h'\n")
    assert read(Path(".env")).redis() == "redis://h"


def test_read__does_without_files() -> None:
    """A file that is not there is no error."""
    assert read(Path("nowhere"), Path(".")).model_dump() == DEFAULTS


@pytest.mark.parametrize(
    ("ask", "name", "scheme"),
    [(Settings.database, "DATABASE_URL", "postgresql://"), (Settings.redis, "REDIS_URL", "redis://")],
)
def test_missing_server__says_what_to_set(ask: object, name: str, scheme: str) -> None:
    """A server that is needed and not set is named, with where to set it and how to get one."""
    assert callable(ask)
    with pytest.raises(ConfigError) as caught:
        ask(load())
    assert str(caught.value) == (
        f"{name} is not set: put it into the environment or into .env, as {scheme}…, "
        "or start servers with `participation up`"
    )


@pytest.mark.parametrize("scheme", ["postgresql://", "postgres://", "postgresql+psycopg2://"])
def test_database__takes_the_usual_schemes(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """What hosting providers hand out is accepted as it is."""
    monkeypatch.setenv("DATABASE_URL", f"{scheme}u:p@h/n")
    assert load().database() == f"{scheme}u:p@h/n"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        (
            "DATABASE_URL",
            "mysql://u:s3cret@h/n",
            "must begin with postgresql:// or postgres:// or postgresql+psycopg2://",
        ),
        ("DATABASE_URL", "u:s3cret@h/n", "must begin with postgresql:// or postgres:// or postgresql+psycopg2://"),
        ("DATABASE_URL", "", "must begin with postgresql:// or postgres:// or postgresql+psycopg2://"),
        ("REDIS_URL", "http://:s3cret@h", "must begin with redis:// or rediss://"),
        ("REDIS_URL", "", "must begin with redis:// or rediss://"),
        ("REDIS_URL", "redis://:s3cret@h:port/0", "must have a number as its port"),
        ("REDIS_URL", "redis://:s3cret/more@h:6379/0", "must have a number as its port"),
        ("REDIS_URL", "rediss://:s3cret@h:65536/0", "must have a number as its port"),
        ("REDIS_URL", "redis://:s3cret@[::1/0", "must have a number as its port"),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_wrong_url__is_named_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str, place: str
) -> None:
    """A URL of another kind is refused by name, without its password, not even in a traceback."""
    if place == ".env":
        Path(".env").write_text(f"{name}={value}\n")
    else:
        monkeypatch.setenv(name, value)
    assert refusal() == f"{name}: {rule}; correct it in the environment or in .env"
    with pytest.raises(ConfigError) as caught:
        load()
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("PUBLISH_TIMEOUT_SECONDS", ["0", "-1", "60.1", "nan", "inf", "soon", ""]),
        ("PUBLISH_QUEUE", ["0", "1000001", "x", ""]),
        ("SPOOL_MEGABYTES", ["0", "-1", "1000001", "x"]),
        ("CLAIM_INTERVAL_SECONDS", ["0", "0.009", "60.1", "nan", "-inf"]),
        ("BATCH_SIZE", ["0", "50001", "1.5", "many", "1e3", ""]),
        ("OPEN_BATCHES", ["0", "10001", "x"]),
        ("SWEEP_AFTER_SECONDS", ["0", "-1", "nan", "inf"]),
        ("LOCK_TIMEOUT_SECONDS", ["0", "-1", "nan", "inf"]),
        ("TASK_TIME_LIMIT_SECONDS", ["0", "-1", "nan", "inf"]),
        ("COMPUTE_INTERVAL_SECONDS", ["0.9", "-1", "nan", "inf"]),
        ("PARTITIONS_AHEAD_MONTHS", ["0", "25", "-1"]),
        ("DELETION_GRACE_DAYS", ["-1", "3651", "x", ""]),
        ("PRIVACY_CONTACT", ["x" * 201, "a\nb", " ", "\x1b[2Jx"]),
        ("BATCH_RETENTION_DAYS", ["0", "-1", "x"]),
        ("TELEGRAM_API_URL", ["", "api.telegram.org", "ftp://h", "http://", "http://h:x", "https://h/bot{token}"]),
    ],
)
def test_wrong_value__is_named(monkeypatch: pytest.MonkeyPatch, name: str, wrong: list[str]) -> None:
    """A value out of range or of another kind is refused with the variable's name and where to correct it."""
    for value in wrong:
        monkeypatch.setenv(f"PARTICIPATION_{name}", value)
        text = refusal()
        assert text.startswith(f"PARTICIPATION_{name}: ")
        assert text.endswith("; correct it in the environment or in .env")


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("publish_timeout_seconds", [0.01, 60]),
        ("publish_queue", [1, 1_000_000]),
        ("spool_megabytes", [1, 1_000_000]),
        ("claim_interval_seconds", [0.01, 60]),
        ("batch_size", [1, 50_000]),
        ("open_batches", [1, 10_000]),
        ("sweep_after_seconds", [0.1, 1e6]),
        ("lock_timeout_seconds", [0.1, 1e6]),
        ("compute_interval_seconds", [1, 86_400]),
        ("partitions_ahead_months", [1, 24]),
        ("deletion_grace_days", [0, 3_650]),
        ("batch_retention_days", [1, 3_650]),
    ],
)
def test_right_value__is_taken(monkeypatch: pytest.MonkeyPatch, name: str, right: list[float]) -> None:
    """The ends of each range belong to it."""
    for value in right:
        monkeypatch.setenv(f"PARTICIPATION_{name.upper()}", str(value))
        assert getattr(read(), name) == value


def test_unreadable_env__is_named() -> None:
    """A `.env` in another encoding is an error of the configuration like any other."""
    Path(".env").write_bytes("REDIS_URL=redis://:café@h\n".encode("latin-1"))
    text = refusal()
    assert text.startswith(".env: cannot be read (")
    assert text.endswith("; it must be a text file in UTF-8")


def test_token__is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever writes the settings down writes no token."""
    monkeypatch.setenv("PARTICIPATION_TELEGRAM_TOKEN", "1:s3cret")
    monkeypatch.setenv("PARTICIPATION_DISCORD_TOKEN", "d.s3cret")
    configured = load()
    assert "s3cret" not in f"{configured} {configured!r} {configured.model_dump()} {configured.model_dump_json()}"


def test_settings__cannot_be_changed() -> None:
    """What was read stays as it was."""
    with pytest.raises(ValidationError, match="frozen"):
        load().batch_size = 1  # type: ignore[misc]


def test_env__with_a_byte_order_mark_is_read_from_its_first_line() -> None:
    """Some editors write this mark. It would hide the first setting without a word."""
    Path(".env").write_bytes(b"\xef\xbb\xbfREDIS_URL=redis://bom\n")
    assert load().redis() == "redis://bom"
