"""The notice that tells the names of accounts, channels and spaces, and where channels belong.

`decode` returns one of three models, or raises an error that says what is wrong. `encode` returns what is sent.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from participation import event
from participation.errors import InvalidEvent
from participation.event import IDENTIFIER_RULE, PLATFORM_RULE, TIME_RULE, Identifier, Platform, Time

LONGEST: Final = 500
"""Maximum number of names in one notice (fixed)."""

_Text = Annotated[str, StringConstraints(strict=True)]
_TEXT_RULE: Final = (
    "a string; workers remove control characters and characters that change the direction of text, and keep at most "
    "255 characters"
)


class _Name(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    community_id: Identifier = Field(description=f"{IDENTIFIER_RULE}, as in the events")
    platform: Platform = Field(description=PLATFORM_RULE)
    id: Identifier = Field(description=f"{IDENTIFIER_RULE}, the platform's id")
    name: _Text = Field(description=_TEXT_RULE)
    seen_at: Time = Field(description=f"{TIME_RULE}: when the bot saw this name; the latest one is shown")


class AccountName(_Name):
    """The name of an account in a community. The earliest known `joined_at` is kept."""

    kind: Literal["account"] = Field(description="account")
    username: _Text | None = Field(None, description=f"{_TEXT_RULE}, or null: the unique name that the platform has")
    joined_at: Time | None = Field(None, description=f"{TIME_RULE}, or null: when the account joined the community")


class ChannelName(_Name):
    """The name of a channel, a thread, a post of a forum, or a topic.

    is_public: whether every member may read it. None is unknown, and is treated as not public.
    """

    kind: Literal["channel"] = Field(description="channel")
    parent_id: Identifier | None = Field(None, description=f"{IDENTIFIER_RULE}, or null: the channel that it is in")
    category_id: Identifier | None = Field(None, description=f"{IDENTIFIER_RULE}, or null: the category of channels")
    is_public: Annotated[bool | None, Field(strict=True)] = Field(None, description="true, false or null")


class SpaceName(_Name):
    """The name of a space: a guild, a chat or a workspace. former_id: the id that the same space had before."""

    kind: Literal["space"] = Field(description="space")
    former_id: Identifier | None = Field(None, description=f"{IDENTIFIER_RULE}, or null: the id that it had before")


Name = AccountName | ChannelName | SpaceName

KINDS: Final[dict[object, type[AccountName] | type[ChannelName] | type[SpaceName]]] = {
    "account": AccountName,
    "channel": ChannelName,
    "space": SpaceName,
}


def decode_list(value: object) -> list[object]:
    """Return the entries of a notice, which `decode` checks one by one. Raises `InvalidEvent`."""
    if not isinstance(value, list) or len(value) > LONGEST:
        raise InvalidEvent("names", f"must be an array of at most {LONGEST} JSON objects", value, "invalid_notice")
    return value


def decode(value: object) -> Name:
    """Return the name in a JSON object. A name that is decoded already is returned as it is.

    Raises `InvalidEvent`, which names the first field that breaks its rule.
    """
    if isinstance(value, AccountName | ChannelName | SpaceName):
        return value
    if not isinstance(value, dict):
        raise InvalidEvent("name", "must be one JSON object", value, "invalid_notice")
    kind = value.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        rule = f"must be one of {', '.join(map(str, KINDS))}; got {event.short(kind)}"
        raise InvalidEvent("kind", rule, value, "invalid_notice")
    try:
        return event.validate(model, value, f"{kind} name")
    except InvalidEvent as error:
        error.code = "invalid_notice"
        raise


def encode(name: Name) -> dict[str, Any]:
    """Return the name as the JSON object that is sent: without nulls, times in UTC."""
    return name.model_dump(mode="json", exclude_none=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a notice. `docs/names.schema.json` contains the same."""
    name = Annotated[Name, Field(discriminator="kind")]
    schema = TypeAdapter(Annotated[list[name], Field(max_length=LONGEST)]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "names", **schema}
