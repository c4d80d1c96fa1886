"""Settings: read from the environment, from `.env`, and from the file that a running `participation up` writes.

Importing this module reads nothing, and `load` caches nothing: a long-lived object reads its settings once, when it is
created.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from participation import redis_url as urls_of_redis
from participation.errors import ConfigError
from participation.limits import is_name

DATA_DIR = Path("~/.local/share/participation")
"""Default data folder of `participation up`. `load` looks for a running `participation up` only here."""

LOCAL_ENV = "env"
"""File in the data folder in which a running `participation up` writes the URLs of its servers."""

DATABASE_SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg2://")


def _database(value: str | None) -> str | None:
    if value is not None and not value.startswith(DATABASE_SCHEMES):
        raise ValueError(f"must begin with {' or '.join(DATABASE_SCHEMES)}")
    return value


def _port(value: str | None) -> str | None:
    """Refuse a port that is not a number. The message does not repeat it, because it may be part of a password."""
    try:
        _ = urlsplit(value or "").port
    except ValueError:
        raise ValueError("must have a number as its port") from None
    return value


def _web(value: str) -> str:
    """Refuse a value that is not the URL of a web server."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or {*value} & {*"{}?#"}:
        raise ValueError("must look like http://host:port or https://host")
    return value.rstrip("/")


def _one_line(value: str | None) -> str | None:
    """Refuse a text that is not one line of visible characters, because bots send it to members."""
    if value and not is_name(value):
        raise ValueError("must be one line of visible characters, without any that change the direction of text")
    return value


class Settings(BaseSettings):
    """All settings.

    The environment variable of a field is `PARTICIPATION_` and the name of the field. The URLs of the
    servers have no prefix.
    """

    model_config = SettingsConfigDict(
        env_prefix="PARTICIPATION_",
        env_file_encoding="utf-8-sig",  # some editors write a byte order mark, which would hide the first setting
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # URLs contain passwords, and tracebacks go into logs
    )

    database_url: Annotated[str | None, AfterValidator(_database)] = Field(
        None,
        validation_alias="DATABASE_URL",
        description="URL of PostgreSQL 18: `postgresql://user:password@host:port/name`",
    )
    redis_url: Annotated[str | None, AfterValidator(urls_of_redis.check)] = Field(
        None, validation_alias="REDIS_URL", description="URL of Redis or Valkey: `redis://:password@host:port/0`"
    )
    publish_timeout_seconds: float = Field(
        2.0, gt=0, le=60, description="longest wait for Redis before `delay` raises an error"
    )
    publish_queue: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="maximum number of events that a bot keeps in memory before it sends or spools them",
    )
    spool_dir: Path = Field(
        DATA_DIR / "spool", description="folder in which a bot stores events while Redis does not answer: the spool"
    )
    spool_megabytes: int = Field(256, ge=1, le=1_000_000, description="maximum size of the spool of one bot")
    discord_token: SecretStr | None = Field(None, description="token of the bundled Discord bot")
    claim_interval_seconds: float = Field(0.05, ge=0.01, le=60, description="how often a worker looks for new events")
    batch_size: int = Field(5_000, ge=1, le=50_000, description="maximum number of events in one batch")
    open_batches: int = Field(
        64,
        ge=1,
        le=10_000,
        description="maximum number of batches that are claimed and not committed, for all workers together",
    )
    sweep_after_seconds: float = Field(60.0, gt=0, description="age at which an open batch is given to a worker again")
    lock_timeout_seconds: float = Field(
        10.0,
        gt=0,
        description="longest wait for a lock in PostgreSQL before a batch is put back and tried again",
    )
    task_time_limit_seconds: float = Field(
        300.0, gt=0, description="longest time that a worker process may take for one task before it is replaced"
    )
    compute_interval_seconds: float = Field(300.0, ge=1, description="how often Beat asks which local days are due")
    partitions_ahead_months: int = Field(
        3, ge=1, le=24, description="how many monthly partitions are created in advance"
    )
    deletion_grace_days: int = Field(
        30, ge=0, le=3_650, description="how long the data of a community is kept after its bot was removed"
    )
    names: Literal["on", "off"] = Field(
        "on",
        description="whether workers store the names of members, channels and spaces. With `off`, the names that are "
        "stored already are deleted within an hour",
    )
    privacy_contact: Annotated[str | None, AfterValidator(_one_line)] = Field(
        None,
        max_length=200,
        description="mail address or URL for questions of members about their data; the bots' /privacy shows it",
    )
    batch_retention_days: int = Field(7, ge=1, description="how long the row of a stored batch is kept")

    flower_basic_auth: SecretStr | None = Field(
        None,
        validation_alias="FLOWER_BASIC_AUTH",
        description="users who may open Flower, each as user:password, separated by commas",
    )
    flower_port: int | None = Field(
        None, ge=1, le=65_535, validation_alias="FLOWER_PORT", description="port of Flower on this machine"
    )

    telegram_token: SecretStr | None = Field(None, description="token of the bundled Telegram bot")
    telegram_api_url: Annotated[str, AfterValidator(_port), AfterValidator(_web)] = Field(
        "https://api.telegram.org", description="URL of the Bot API server: `http://host:port`"
    )

    def database(self) -> str:
        """Return the URL of PostgreSQL. Raises `ConfigError` if it is not set."""
        return _required("DATABASE_URL", self.database_url, DATABASE_SCHEMES)

    def redis(self) -> str:
        """Return the URL of Redis. Raises `ConfigError` if it is not set."""
        return _required("REDIS_URL", self.redis_url, urls_of_redis.SCHEMES)


def _required(name: str, value: str | None, schemes: Sequence[str]) -> str:
    if value is None:
        raise ConfigError(
            f"{name} is not set: put it into the environment or into .env, as {schemes[0]}…, "
            "or start servers with `participation up`"
        )
    return value


def folder(variable: str, path: Path) -> Path:
    """Return the folder with ~ replaced by the home folder. Raises `ConfigError` if the account has no home folder."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{variable}: {path}: this account has no home folder: set a folder that it may write to"
        ) from error


def load() -> Settings:
    """Read the settings of this process.

    The environment has priority over `.env` in the current folder, and `.env` over the file of a running
    `participation up`. Raises `ConfigError` like `read`.
    """
    files = [Path(".env")]
    with suppress(RuntimeError):  # the account of a container may have no home folder
        files.insert(0, DATA_DIR.expanduser() / LOCAL_ENV)
    return read(*files)


def read(*files: Path) -> Settings:
    """Read the environment and these files. The environment has priority, then the last file.

    Raises `ConfigError`, which names the variable with a wrong value or the file that cannot be read.
    """
    try:
        return Settings(_env_file=files)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"PARTICIPATION_{name}".upper()
        rule = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{variable}: {rule}; correct it in the environment or in .env") from error
    except (OSError, UnicodeError) as error:
        names = " or ".join(map(str, files))
        raise ConfigError(f"{names}: cannot be read ({error}); it must be a text file in UTF-8") from error
