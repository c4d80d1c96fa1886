"""What the members, channels and spaces of the simulated community are called.

`names` yields names as bots tell them: when a bot first sees an account, and again after a change.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from participation.demo.people import SimulatedAccount, SimulatedPerson, people
from participation.demo.simulation import COMMUNITY_ID, TEXT_CHANNELS, VOICE_CHANNELS

CHOSEN: Final = {5: "Tariq 🚀", 11: "Robin", 107: "Robin", 41: "ליאור"}
"""Names that members chose, by their places in `people`: a newcomer, two who came back, and one who went quiet."""

RENAMED: Final = {80: "Fatima at Sea"}
"""Names that members changed to later."""

CHANNELS: Final = {
    "discord": (*TEXT_CHANNELS["discord"], *VOICE_CHANNELS),
    "telegram": TEXT_CHANNELS["telegram"],
    "irc": TEXT_CHANNELS["irc"],
}

_CHANNEL_NAMES: Final = {
    "discord": ("quay", "boats", "weather", "Crow's Nest", "Engine Room"),
    "telegram": ("Harbour Talk", "Harbour News"),
    "irc": TEXT_CHANNELS["irc"],
}
_SPACES: Final = {"discord": ("1041873210055450645", "Harbour"), "telegram": ("-1001620331948", "Harbour Talk")}

_TOLD_AFTER: Final = {"irc": timedelta(0), "telegram": timedelta(hours=1), "discord": timedelta(hours=2)}
"""When the bot of each platform starts. The names of Discord are the newest, so linked accounts are shown by them."""


def names(begins: datetime, ends: datetime) -> Iterator[dict[str, Any]]:
    """Yield the names as JSON objects. They were seen from `begins` on, and the changes at `ends`."""
    for platform, (space_id, name) in _SPACES.items():
        yield _name("space", platform, space_id, name, begins)
    for platform, ids in CHANNELS.items():
        for channel_id, name in zip(ids, _CHANNEL_NAMES[platform], strict=True):
            yield {**_name("channel", platform, channel_id, name, begins), "is_public": True}
    for place, person in enumerate(people()):
        for account in person.accounts:
            yield _account(account, person, CHOSEN.get(place, person.name), begins + _TOLD_AFTER[account.platform])
        if place in RENAMED:
            yield _account(person.accounts[0], person, RENAMED[place], ends)


def _account(account: SimulatedAccount, person: SimulatedPerson, name: str, seen_at: datetime) -> dict[str, Any]:
    if account.platform == "irc":
        return _name("account", "irc", account.account_id, name, seen_at)
    told = _name("account", account.platform, account.account_id, name, seen_at)
    return {**told, "username": person.name.lower().replace(" ", "_")}


def _name(kind: str, platform: str, id_: str, name: str, seen_at: datetime) -> dict[str, Any]:
    common = {"kind": kind, "community_id": COMMUNITY_ID, "platform": platform}
    return {**common, "id": id_, "name": name, "seen_at": seen_at.isoformat()}
