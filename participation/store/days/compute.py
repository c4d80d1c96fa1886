"""The SQL of the nightly computation: one local day of one community, set-based, from the raw events.

`docs/highlights.md` defines every figure, and the query follows its order. The package `highlights` has the rules and
decides when a day is computed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from participation.store import locks, options
from participation.store.days import exclusions, non_users, parts
from participation.store.days.day_variants import IS_COUNTED_ALONE, Variant, insert_day
from participation.store.options import Options, Reputation

# A day is all minutes at which a clock in the zone shows its date: 23, 24 or 25 hours, sometimes in two pieces, or none
# if the zone skipped the date. `begins` and `hours` are a lookup table, which is much faster than converting each time:
# from each time in `begins` on, the clock shows that hour of the date, or NULL for another date.
_SELECT_DAY_CLOCK = text("""
SELECT lower(moments), upper(moments), CAST(moments AS text), begins, hours, settings
FROM communities
CROSS JOIN LATERAL (
    SELECT range_agg(tstzrange(since, until)) FILTER (WHERE hour IS NOT NULL) AS moments,
        array_agg(since ORDER BY since) AS begins, array_agg(hour ORDER BY since) AS hours
    FROM (
        SELECT minute AS since, lead(minute) OVER (ORDER BY minute) AS until, hour
        FROM (
            SELECT minute, hour, lag(hour) OVER (ORDER BY minute) AS hour_before
            FROM generate_series(
                CAST(:day AS date) - interval '16 hours', CAST(:day AS date) + interval '40 hours', '1 minute'
            ) AS series (clock)
            CROSS JOIN LATERAL (SELECT clock AT TIME ZONE 'UTC' AS minute) AS utc
            CROSS JOIN LATERAL (SELECT minute AT TIME ZONE timezone AS local) AS zone
            CROSS JOIN LATERAL (
                SELECT CASE WHEN CAST(local AS date) = :day THEN CAST(extract(hour FROM local) AS integer) END AS hour
            ) AS of_day
        ) AS minutes
        WHERE hour IS DISTINCT FROM hour_before
    ) AS pieces
) AS day
WHERE community_id = :community_id AND NOT EXISTS (SELECT FROM community_parts WHERE part_id = :community_id)
""")

_SELECT_SHARED_CHANNELS = text(f"""
SELECT platform, coalesce(channel_id, '') FROM participation_events
WHERE community_id = ANY(CAST(:parts AS text[])) AND actor_kind = 'user' AND {IS_COUNTED_ALONE}
    AND occurred_at >= :start AND occurred_at <= :end
GROUP BY platform, channel_id HAVING min(community_id COLLATE "C") <> max(community_id COLLATE "C")
""")

_SELECT_TOPIC_CHATS = text("""
SELECT DISTINCT parent_id FROM channel_names
WHERE community_id = ANY(CAST(:parts AS text[])) AND platform = 'telegram' AND channel_id LIKE '%/%'
    AND channel_id = parent_id || '/' || split_part(channel_id, '/', 2)
""")

_UNMARK_DAY = text("DELETE FROM due_days WHERE community_id = :community_id AND highlight_date = :day")

_DELETE_DAY = [
    text("DELETE FROM member_daily_highlights WHERE community_id = :community_id AND highlight_date = :day"),
    text("DELETE FROM community_daily_highlights WHERE community_id = :community_id AND highlight_date = :day"),
    text("DELETE FROM channel_daily_highlights WHERE community_id = :community_id AND highlight_date = :day"),
]

# Only for this transaction. 64 MB are enough for some hundred thousand events without temporary files. Compiling the
# query would take longer than running it.
_TUNE_SESSION = text("SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)")


@dataclass(frozen=True, slots=True)
class ReputationRule:
    """A version of the rule for `reputation_earned`: a sum of weighted, capped counts, rounded down.

    message_weight × min(messages, message_cap) + reaction_weight × min(reactions, reaction_cap)
    + received_weight × min(received, received_cap) + ⌊min(voice minutes, voice_minutes_cap) / voice_minutes_per_point⌋.
    """

    version: int
    message_weight: float
    message_cap: int
    reaction_weight: float
    reaction_cap: int
    received_weight: float
    received_cap: int
    voice_minutes_cap: int
    voice_minutes_per_point: int


NO_REPUTATION = ReputationRule(0, 0, 0, 0, 0, 0, 0, 0, 1)
"""The rule of a community that wants no reputation: nobody earns any."""


def replace_day(connection: Connection, community_id: str, day: date, rule: ReputationRule) -> bool:
    """Compute the community's local day from the raw events of all its parts, with the options of the community.

    rule: used if the community has not chosen another one. Returns False if the community is unknown, or is a part of
    another one, for which its events count.
    Replaces the rows of the day. The caller commits. Repeating it is safe: it writes the same rows. Marks of the day
    that this transaction does not see yet stay, so an event that arrives meanwhile makes the day due again.
    """
    locks.share_time_zones(connection)
    key: dict[str, object] = {"community_id": community_id, "day": day}
    clock = connection.execute(_SELECT_DAY_CLOCK, key).one_or_none()
    if clock is None:
        return False
    start, end, moments, begins, hours, settings = clock
    ids = parts.parts_of(connection, community_id)
    if moments is not None:
        non_users.note_between(connection, ids, start, end)
    locks.lock_day(connection, key)
    for statement in (_UNMARK_DAY, *_DELETE_DAY):
        connection.execute(statement, key)
    if moments is not None:
        chosen = options.decode(settings)
        span = {"start": start, "end": end, "moments": moments, "begins": begins, "hours": hours, "parts": ids}
        connection.execute(_TUNE_SESSION)
        _insert(connection, chosen, ids, {**key, **span, **asdict(_rule(chosen, rule))})
    return True


def _insert(connection: Connection, chosen: Options, ids: Sequence[str], values: dict[str, Any]) -> None:
    shared = connection.execute(_SELECT_SHARED_CHANNELS, values).all() if len(ids) > 1 else []
    excluded = exclusions.read(connection, chosen, ids)
    topic_chats = [*connection.scalars(_SELECT_TOPIC_CHATS, values), *excluded.topic_chats]
    lookup = chosen.authors_from_messages or bool(topic_chats)
    variant = Variant(bool(shared), bool(excluded.accounts or excluded.channels), chosen.has_own_voice, lookup)
    values |= {
        "shared_platforms": [row[0] for row in shared],
        "shared_channels": [row[1] for row in shared],
        "excluded_accounts": excluded.accounts,
        "excluded_channels": excluded.channels,
        "topic_chats": topic_chats,
        "authors_from_messages": chosen.authors_from_messages,
    }
    if connection.scalar(insert_day(variant), values) and not lookup:
        # Only the events of this day tell that the chat has topics.
        for statement in _DELETE_DAY:
            connection.execute(statement, values)
        connection.execute(insert_day(variant._replace(lookup=True)), values)


def _rule(chosen: Options, default: ReputationRule) -> ReputationRule:
    if isinstance(chosen.reputation, Reputation):
        return ReputationRule(**chosen.reputation.model_dump())
    return NO_REPUTATION if chosen.reputation == "off" else default
