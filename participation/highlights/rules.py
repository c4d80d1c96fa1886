"""The rules of highlights that are numbers. `docs/highlights.md` explains them; `store.days` applies them in SQL."""

from typing import Final

from participation.store.days.compute import ReputationRule

REPUTATION: Final = ReputationRule(
    version=1,
    message_cap=50,
    reaction_cap=20,
    received_weight=2,
    received_cap=50,
    voice_minutes_cap=120,
    voice_minutes_per_point=5,
)
"""The rule for `reputation_earned`. Its version is stored with each computed day."""

USUAL_WEEKS: Final = 4
"""A day is compared with the median of the same weekday in so many weeks before."""

RETURNED_AFTER_DAYS: Final = 14
"""A member returned if the active day before was at least so many days ago."""

QUIET_ACTIVE_DAYS: Final = 3
"""A member has gone quiet who was active on so many of the 7 days before the last 7, and on none of the last 7."""

STREAK_DAYS: Final = 3
"""A streak is mentioned from so many days on."""
