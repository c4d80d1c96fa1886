"""`docs/settings.md` against the settings themselves."""

import re
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from participation.settings import Settings

DOC: Final = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
ROW: Final = re.compile(r"^\| `(?P<name>[A-Z_]+)` \| (?P<default>[^|]+) \|", re.MULTILINE)
FIELDS: Final = Settings.model_fields


def variable(name: str, field: FieldInfo) -> str:
    """The variable that sets a field: its alias, or the prefix and its name."""
    prefix = Settings.model_config["env_prefix"]
    return str(field.validation_alias or f"{prefix}{name}".upper())


VARIABLES: Final = {variable(name, field): field for name, field in FIELDS.items()}
ROWS: Final = {row["name"]: row["default"] for row in ROW.finditer(DOC)}


def test_docs__table_has_exactly_the_settings() -> None:
    """Each setting has one row in the table, in the order of the class, and no row is left from an old one."""
    assert [row["name"] for row in ROW.finditer(DOC)] == list(VARIABLES)


@pytest.mark.parametrize("name", VARIABLES)
def test_docs__default_is_the_real_one(name: str) -> None:
    """The row of a setting gives the default that the class has."""
    default = VARIABLES[name].default
    assert ROWS[name] == ("none" if default is None else f"`{default}`")


@pytest.mark.parametrize("name", VARIABLES)
def test_docs__variable_sets_the_field(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting is read from the variable that the table names."""
    urls = {
        "DATABASE_URL": "postgresql://docs/test",
        "REDIS_URL": "redis://docs/1",
        "PARTICIPATION_TELEGRAM_API_URL": "https://docs",
        "PARTICIPATION_NAMES": "off",
    }
    value = urls.get(name, "7")
    monkeypatch.setenv(name, value)
    read = Settings(_env_file=None)
    (field,) = (field for field in FIELDS if variable(field, FIELDS[field]) == name)
    found = getattr(read, field)
    found = found.get_secret_value() if isinstance(found, SecretStr) else found
    assert str(found).removesuffix(".0") == value


def test_docs__name_no_unknown_variable() -> None:
    """Whatever begins like one of our variables, anywhere on the page, is one of them."""
    assert set(re.findall(r"PARTICIPATION_\w+", DOC)) <= VARIABLES.keys()
