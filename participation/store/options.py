"""The options of a community: one model, which is read from and written to `communities.settings` here alone."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import Connection, text

from participation import accounts, event
from participation.errors import ConfigError, InvalidEvent
from participation.limits import is_name

LONGEST: Final = 500
"""Maximum number of entries in a list of members or channels."""

_WEIGHT_RULE: Final = "a number from 0 to 1,000"
_CAP_RULE: Final = "a whole number from 0 to 100,000"
_Weight = Annotated[float, Field(strict=True, ge=0, le=1_000, allow_inf_nan=False)]
_Cap = Annotated[int, Field(strict=True, ge=0, le=100_000)]
_Model = TypeVar("_Model", bound=BaseModel)


def _check_member(value: object) -> str:
    if not isinstance(value, str) or not (is_name(value) or accounts.find(value)):
        raise ValueError
    return value


def _check_channel(value: object) -> str:
    """Accept PLATFORM:CHANNEL. A channel has the same rule as an account."""
    if not isinstance(value, str) or accounts.find(value) is None:
        raise ValueError
    return value


def _check_version(value: object) -> object:
    """Refuse true and 1.0, which equal 1 for Python."""
    if isinstance(value, bool | float):
        raise ValueError  # noqa: TRY004 - pydantic expects a ValueError
    return value


def _sorted(value: object) -> object:
    return sorted(set(value)) if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value) else value


_Members = Annotated[
    tuple[Annotated[str, BeforeValidator(_check_member)], ...], BeforeValidator(_sorted), Field(max_length=LONGEST)
]
_Channels = Annotated[
    tuple[Annotated[str, BeforeValidator(_check_channel)], ...], BeforeValidator(_sorted), Field(max_length=LONGEST)
]
_CHANNELS_RULE: Final = (
    f"a list of at most {LONGEST} channels, each written PLATFORM:CHANNEL, for example discord:381870553235193857"
)


class Reputation(BaseModel):
    """Version 2 of the rule for reputation: weights and caps that the community chooses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[Literal[2], BeforeValidator(_check_version)] = Field(description="2")
    message_weight: _Weight = Field(1, description=_WEIGHT_RULE)
    message_cap: _Cap = Field(50, description=_CAP_RULE)
    reaction_weight: _Weight = Field(1, description=_WEIGHT_RULE)
    reaction_cap: _Cap = Field(20, description=_CAP_RULE)
    received_weight: _Weight = Field(2, description=_WEIGHT_RULE)
    received_cap: _Cap = Field(50, description=_CAP_RULE)
    voice_minutes_cap: _Cap = Field(120, description=_CAP_RULE)
    voice_minutes_per_point: Annotated[int, Field(strict=True, ge=1, le=1_440)] = Field(
        5, description="a whole number from 1 to 1,440"
    )


class Options(BaseModel):
    """What a community has set, beside its name and time zone. The description of each field is its rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    excluded_members: _Members = Field(
        (), description=f"a list of at most {LONGEST} persons or accounts, an account written PLATFORM:ACCOUNT"
    )
    excluded_channels: _Channels = Field((), description=_CHANNELS_RULE)
    ignored_channels: _Channels = Field((), description=_CHANNELS_RULE)
    reputation: Annotated[Literal["off", 1] | Reputation, BeforeValidator(_check_version)] = Field(
        1, description='"off", 1, or an object with "version": 2, weights and caps'
    )
    authors_from_messages: bool = Field(False, strict=True, description="true or false")
    voice_alone: bool = Field(False, strict=True, description="true or false")

    @property
    def has_own_voice(self) -> bool:
        """Whether voice time alone or deafened by oneself is left out of reputation and of the ranking by voice."""
        return isinstance(self.reputation, Reputation) and not self.voice_alone

    def changes_days(self, other: "Options") -> bool:
        """Return whether days come out differently with the other options."""
        return self._of_days() != other._of_days()

    def _of_days(self) -> dict[str, Any]:
        return {**self.model_dump(exclude={"ignored_channels", "voice_alone"}), "voice": self.has_own_voice}


_SELECT_OPTIONS = text("SELECT settings FROM communities WHERE community_id = :community_id")

_UPDATE_OPTIONS = text("UPDATE communities SET settings = CAST(:settings AS jsonb) WHERE community_id = :community_id")


def decode(value: object) -> Options:
    """Return the options in a JSON object. Raises `ConfigError`, which names the field and its rule."""
    if isinstance(value, Mapping) and isinstance(value.get("reputation"), Mapping):
        _validate(Reputation, value["reputation"], "reputation rule", "reputation.")
    return _validate(Options, value, "community's settings", "")


def _validate(model: type[_Model], value: object, noun: str, prefix: str) -> _Model:
    try:
        return event.validate(model, value, noun)
    except InvalidEvent as error:
        raise ConfigError(f"{prefix}{error.field}: {error.rule}") from error


def read(connection: Connection, community_id: str) -> Options:
    """Return the options of the community, or the defaults if it does not exist."""
    return decode(connection.scalar(_SELECT_OPTIONS, {"community_id": community_id}) or {})


def write(connection: Connection, community_id: str, options: Options) -> None:
    """Store the options of the community, which must exist. The caller commits."""
    settings = orjson.dumps(options.model_dump(mode="json", exclude_defaults=True)).decode()
    connection.execute(_UPDATE_OPTIONS, {"community_id": community_id, "settings": settings})
