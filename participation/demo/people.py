"""The people of the simulated community: who they are, where they live, and their accounts.

The same seed gives the same people. Uses no I/O and no clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from random import Random
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from participation.platforms import discord

BERLIN: Final = ZoneInfo("Europe/Berlin")
NEW_YORK: Final = ZoneInfo("America/New_York")

_FIRST_NAMES: Final = (  # noqa: SIM905 - a list would take a line for each name
    "Ada Anton Bela Carla Chen Dario Edith Emil Fatima Finn Greta Hugo Ines Jonas Kaya Lars Lena Luis Maja "
    "Mira Nadia Nils Olga Omar Paula Priya Quinn Rosa Samir Selma Tariq Tilda Uwe Vera Wanda Yusuf"
).split()
_LAST_NAMES: Final = (  # noqa: SIM905
    "Abel Arndt Bauer Becker Castro Cohen Dietz Engel Falk Fischer Garcia Haas Hansen Ibrahim Jensen Keller "
    "Kim Kruse Lange Lopez Lund Moreno Neumann Okafor Peters Quist Ritter Sato Silva Stone Thoma Ueda Vogel "
    "Weber Wolf Zhou"
).split()

_IN_NEW_YORK: Final = 0.35
_ALWAYS: Final = 10_000


class SimulatedAccount(NamedTuple):
    """An account on one platform."""

    platform: str
    account_id: str
    actor_kind: str = "user"


MACHINES: Final = (
    SimulatedAccount("discord", "1042010077316366387", "bot"),
    SimulatedAccount("discord", "1042011206515335278", "webhook"),
    SimulatedAccount("telegram", "1087968824", "anonymous"),
    SimulatedAccount("irc", "harbourmaster", "bot"),
)
"""Accounts that write messages, but do not count in highlights."""


@dataclass(frozen=True)
class SimulatedPerson:
    """A member of the community.

    messages: mean number of messages on an ordinary day on which the person is active.
    around: probability of being active on an ordinary day.
    away: the days on which the person is absent, counted from the best day.
    """

    name: str
    zone: ZoneInfo
    accounts: tuple[SimulatedAccount, ...]
    messages: float
    around: float
    away: range

    @property
    def person_id(self) -> str:
        return self.name.lower().replace(" ", "-")

    @property
    def arrives(self) -> int | None:
        """The day on which a newcomer joins, counted from the best day; None for others."""
        return self.away.stop if self.away.start == -_ALWAYS else None

    def is_around(self, rng: Random, number: int) -> bool:
        """Return whether the person is active on a day. On the best day, everybody is active except those away."""
        return number not in self.away and (number == 0 or rng.random() < self.around)


def people(seed: int = 7, members: int = 120) -> tuple[SimulatedPerson, ...]:
    """Return the people, at most 1,296. Every eighth writes a lot, and every sixteenth uses three platforms."""
    rng = Random(seed)  # noqa: S311 - a simulation, not a secret
    everyone = rng.sample([" ".join(name) for name in product(_FIRST_NAMES, _LAST_NAMES)], members)
    return tuple(_person(rng, number, name) for number, name in enumerate(everyone))


def _person(rng: Random, number: int, name: str) -> SimulatedPerson:
    lively = number % 8 == 0
    away = _away(number)
    return SimulatedPerson(
        name=name,
        zone=NEW_YORK if rng.random() < _IN_NEW_YORK else BERLIN,
        accounts=_accounts(rng, number, name),
        messages=rng.uniform(45, 105) if lively else rng.uniform(2, 17),
        around=0.95 if lively or away else rng.uniform(0.3, 0.8),
        away=away,
    )


def _away(number: int) -> range:
    """Return when the person is away. Some arrive before the best day, some return on it, some leave before it."""
    match number % 24:
        case 5:
            return range(-_ALWAYS, -(number % 5))
        case 11:
            return range(-13, 0)
        case 17:
            return range(-6, _ALWAYS)
        case _:
            return range(0)


def _accounts(rng: Random, number: int, name: str) -> tuple[SimulatedAccount, ...]:
    platforms = rng.choices(("discord", "telegram", "irc"), (60, 28, 12))
    if number % 16 == 0:
        platforms = ["discord", "telegram", "irc"]
    return tuple(SimulatedAccount(platform, _account_id(rng, platform, name)) for platform in platforms)


def _account_id(rng: Random, platform: str, name: str) -> str:
    if platform == "discord":
        return snowflake(rng, discord.EPOCH + timedelta(days=rng.uniform(300, 2_700)))
    if platform == "telegram":
        return str(rng.randrange(100_000_000, 6_000_000_000))
    return name.lower().replace(" ", "_")


def snowflake(rng: Random, at: datetime) -> str:
    """Return an id for this time, in the format of Discord."""
    return str(discord.snowflake(at, rng.getrandbits(discord.RANDOM_BITS)))
