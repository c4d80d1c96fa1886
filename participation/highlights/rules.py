"""The numbers in the rules of highlights. `docs/highlights.md` explains them; `store.days` applies them in SQL."""

from typing import Final

from participation.store.days.compute import ReputationRule

REPUTATION: Final = ReputationRule(
    version=1,
    message_weight=1,
    message_cap=50,
    reaction_weight=1,
    reaction_cap=20,
    received_weight=2,
    received_cap=50,
    voice_minutes_cap=120,
    voice_minutes_per_point=5,
)
"""The rule for `reputation_earned`, where a community has no other one. Its version is stored with each day."""

USUAL_WEEKS: Final = 4
"""A day is compared with the median of the same weekday in this many weeks before it."""

RETURNED_AFTER_DAYS: Final = 14
"""A member returned if the previous active day was at least this many days earlier."""

QUIET_ACTIVE_DAYS: Final = 3
"""Members have gone quiet if they were active on this many of the 7 days before the last 7, but not since."""

STREAK_DAYS: Final = 3
"""A streak is shown if it has at least this many days."""
