"""Settings: read from the environment, from `.env`, and from what a running `participation up` left for its neighbours.

Nothing is read at import, and nothing is kept: whoever needs a setting for long reads it once, at its own start.
"""

from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from participation.errors import ConfigError

DATA_DIR = Path("~/.local/share/participation")
"""Where `participation up` keeps its data unless it is told otherwise (fixed)."""

LOCAL_ENV = "env"
"""File in the data directory in which a running `participation up` names its servers."""

SCHEMES = {
    "DATABASE_URL": ("postgresql://", "postgres://", "postgresql+psycopg2://"),
    "REDIS_URL": ("redis://", "rediss://"),
}


def _url(name: str) -> AfterValidator:
    def check(value: str | None) -> str | None:
        if value is not None and not value.startswith(SCHEMES[name]):
            raise ValueError(f"must begin with {' or '.join(SCHEMES[name])}")
        return value

    return AfterValidator(check)


def _port(value: str | None) -> str | None:
    """Refuse a port that is no number, without repeating it: it may be the rest of a password with a / in it."""
    try:
        _ = urlsplit(value or "").port
    except ValueError:
        raise ValueError("must have a number as its port") from None
    return value


def _web(value: str) -> str:
    """Refuse what is no address of a web server."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or {*value} & {*"{}?#"}:
        raise ValueError("must be as http://host:port, or https://")
    return value.rstrip("/")


class Settings(BaseSettings):
    """Everything that can be set; but for the URLs as `PARTICIPATION_` and the field's name in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="PARTICIPATION_",
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # URLs hold passwords, and tracebacks go into logs
    )

    database_url: Annotated[str | None, _url("DATABASE_URL")] = Field(
        None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL 18, as `postgresql://user:password@host:port/name`",
    )
    redis_url: Annotated[str | None, _url("REDIS_URL"), AfterValidator(_port)] = Field(
        None, validation_alias="REDIS_URL", description="Redis or Valkey, as `redis://:password@host:port/0`"
    )
    publish_timeout_seconds: float = Field(2.0, gt=0, le=60, description="longest wait for Redis before `delay` raises")
    publish_queue: int = Field(
        20_000, ge=1, le=1_000_000, description="most events in the memory of a bot that wait for Redis or the spool"
    )
    spool_dir: Path = Field(
        DATA_DIR / "spool", description="folder in which a bot keeps events while Redis does not answer"
    )
    spool_megabytes: int = Field(256, ge=1, le=1_000_000, description="most that one bot keeps there")
    discord_token: SecretStr | None = Field(None, description="token of the bot that `bot discord` runs")
    claim_interval_seconds: float = Field(
        0.05, ge=0.01, le=60, description="how often a worker looks for events to claim"
    )
    batch_size: int = Field(5_000, ge=1, le=50_000, description="most events in one batch")
    open_batches: int = Field(
        64, ge=1, le=10_000, description="most batches claimed and not yet committed, over all workers"
    )
    sweep_after_seconds: float = Field(60.0, gt=0, description="age at which an open batch is handed to a worker again")
    lock_timeout_seconds: float = Field(
        10.0,
        gt=0,
        description="longest wait for a lock in PostgreSQL before a batch is put back and tried again",
    )
    task_time_limit_seconds: float = Field(
        300.0, gt=0, description="longest a worker process may take for one task before it is replaced"
    )
    compute_interval_seconds: float = Field(300.0, ge=1, description="how often Beat asks which local days are due")
    partitions_ahead_months: int = Field(3, ge=1, le=24, description="monthly partitions that are made ahead of time")
    deletion_grace_days: int = Field(
        30, ge=0, le=3_650, description="how long the data of a community is kept after its bot was removed"
    )
    privacy_contact: str | None = Field(
        None,
        max_length=200,
        description="whom members may ask about their data, as a mail address or a URL; the bots' /privacy names it",
    )
    batch_retention_days: int = Field(7, ge=1, description="how long the row of a stored batch is kept")

    telegram_token: SecretStr | None = Field(None, description="token of the bot that `bot telegram` runs")
    telegram_api_url: Annotated[str, AfterValidator(_port), AfterValidator(_web)] = Field(
        "https://api.telegram.org", description="server of the Bot API, as `http://host:port`"
    )

    def database(self) -> str:
        """Return the URL of PostgreSQL; raise `ConfigError` when it is not set."""
        return _required("DATABASE_URL", self.database_url)

    def redis(self) -> str:
        """Return the URL of Redis; raise `ConfigError` when it is not set."""
        return _required("REDIS_URL", self.redis_url)


def _required(name: str, value: str | None) -> str:
    if value is None:
        raise ConfigError(
            f"{name} is not set: put it into the environment or into .env, as {SCHEMES[name][0]}…, "
            "or start servers with `participation up`"
        )
    return value


def folder(variable: str, path: Path) -> Path:
    """Return the folder with its ~ replaced; raise `ConfigError` where the account has no home."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{variable}: {path}: this account has no home: name a folder that it may write to"
        ) from error


def load() -> Settings:
    """Read the settings of this process.

    The environment goes before `.env` in the current folder, and that before the servers of a running
    `participation up`. Raises `ConfigError` as `read` does.
    """
    files = [Path(".env")]
    with suppress(RuntimeError):  # an account without a home, as containers have, runs no `participation up`
        files.insert(0, DATA_DIR.expanduser() / LOCAL_ENV)
    return read(*files)


def read(*files: Path) -> Settings:
    """Read the environment and these files, later ones first; raise `ConfigError` naming a variable that is wrong."""
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
        raise ConfigError(f"{names}: cannot be read ({error}); it must be a text in UTF-8") from error
