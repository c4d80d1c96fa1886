"""The SQL of the nightly computation: one local day of one community, set-based, from the raw events.

`docs/highlights.md` defines every figure, and the query follows its order. The package `highlights` has the rules and
decides when a day is computed.
"""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, TextClause, text

from participation.store import locks
from participation.store.days import calendar, non_users, parts

IS_ACTIVE: Final = "(message_count > 0 OR reaction_count > 0 OR voice_minutes > 0)"
"""Condition on a row: the member was active on the day. Receiving reactions alone is not activity (fixed)."""

# A day is all minutes at which a clock in the zone shows its date: 23, 24 or 25 hours, sometimes in two pieces, or none
# if the zone skipped the date. `begins` and `hours` are a lookup table, which is much faster than converting each time:
# from each time in `begins` on, the clock shows that hour of the date, or NULL for another date.
_SELECT_DAY_CLOCK = text("""
SELECT lower(moments), upper(moments), CAST(moments AS text), begins, hours
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

# Two bots may record one channel under different parts, so that an event is stored twice. The second one adds nothing
# to voice, joins, leaves and reactions to an object. Only these events must be compared with those of other parts.
_IS_COUNTED_ALONE: Final = "(event_type = 'MESSAGE_SENT' OR (event_type LIKE 'REACTION%' AND object_id IS NULL))"

_SELECT_SHARED_CHANNELS = text(f"""
SELECT platform, coalesce(channel_id, '') FROM participation_events
WHERE community_id = ANY(CAST(:parts AS text[])) AND actor_kind = 'user' AND {_IS_COUNTED_ALONE}
    AND occurred_at >= :start AND occurred_at <= :end
GROUP BY platform, channel_id HAVING min(community_id COLLATE "C") <> max(community_id COLLATE "C")
""")

_UNLESS_DUPLICATE: Final = f"""
AND NOT ({_IS_COUNTED_ALONE} AND (platform, coalesce(channel_id, '')) IN (
        SELECT * FROM unnest(CAST(:shared_platforms AS text[]), CAST(:shared_channels AS text[]))
    ) AND EXISTS (
        SELECT FROM participation_events AS d
        WHERE d.community_id = ANY(CAST(:parts AS text[])) AND d.community_id < e.community_id COLLATE "C"
            AND d.occurred_at = e.occurred_at AND d.actor_kind = 'user'
            AND (d.platform, d.member_id, d.event_type) = (e.platform, e.member_id, e.event_type)
            AND d.channel_id IS NOT DISTINCT FROM e.channel_id AND d.object_id IS NOT DISTINCT FROM e.object_id
            AND nullif(d.metadata -> 'emoji', 'null') IS NOT DISTINCT FROM nullif(e.metadata -> 'emoji', 'null')
    )
)
"""

_UNMARK_DAY = text("DELETE FROM due_days WHERE community_id = :community_id AND highlight_date = :day")

_DELETE_DAY = [
    text("DELETE FROM member_daily_highlights WHERE community_id = :community_id AND highlight_date = :day"),
    text("DELETE FROM community_daily_highlights WHERE community_id = :community_id AND highlight_date = :day"),
]

# Only for this transaction. 64 MB are enough for some hundred thousand events without temporary files. Compiling the
# query would take longer than running it.
_TUNE_SESSION = text("SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)")

_PERSON_OF_ROW: Final = "coalesce({link}.person_id, {row}.platform || ':' || {row}.{account})"
_JOIN_LINK: Final = """
LEFT JOIN member_accounts AS {link} ON {link}.platform = {row}.platform AND {link}.account_id = {row}.{account}
"""

_CLOCK_PIECE: Final = "width_bucket({moment}, :begins)"
"""The index in `begins` and `hours` for a time. The hour at that index is NULL if the time is not on the day."""


def _person(row: str, account: str = "member_id", link: str = "link") -> dict[str, str]:
    """Return the SQL for the person of an account, and the join that it needs."""
    names = {"row": row, "account": account, "link": link}
    return {"person": _PERSON_OF_ROW.format(**names), "link": _JOIN_LINK.format(**names)}


_INSERT_ANY_DAY: Final = """
WITH facts AS MATERIALIZED (
    -- Events of users on the day; voice events also up to twelve hours before and after it.
    SELECT
        event_type, platform, member_id, channel_id, object_id, object_author_id, occurred_at,
        metadata ->> 'emoji' AS emoji, (:hours)[{piece}] AS hour
    FROM participation_events AS e
    WHERE community_id = ANY(CAST(:parts AS text[]))
        AND actor_kind = 'user'
        AND occurred_at >= CAST(:start AS timestamptz) - {reach}
        AND occurred_at <= CAST(:end AS timestamptz) + {reach}
        AND (event_type LIKE 'VOICE%' OR occurred_at <@ CAST(:moments AS tstzmultirange))
        {unless_duplicate}
), messages AS (
    -- Grouped by account, and in other rows by hour. Most rows are messages, and this reads them only once.
    SELECT platform, member_id, hour, CAST(count(*) AS integer) AS messages, bit_or(1 << hour) AS hours
    FROM facts WHERE event_type = 'MESSAGE_SENT'
    GROUP BY GROUPING SETS ((platform, member_id), (hour))
), last_reactions AS (
    -- The last reaction event of an account on an object and emoji; at equal times, the removal is later.
    -- The most selective columns come first, so that the sort rarely compares the others.
    SELECT DISTINCT ON (object_id, member_id, channel_id, emoji, platform)
        event_type, platform, member_id, object_author_id, hour
    FROM facts WHERE event_type LIKE 'REACTION%' AND object_id IS NOT NULL
    ORDER BY object_id, member_id, channel_id, emoji, platform,
        occurred_at DESC, event_type DESC, object_author_id COLLATE "C" DESC NULLS LAST
), reactions AS (
    SELECT platform, member_id, object_author_id, hour
    FROM last_reactions WHERE event_type = 'REACTION_ADDED'
    UNION ALL
    SELECT platform, member_id, object_author_id, hour
    FROM facts WHERE event_type = 'REACTION_ADDED' AND object_id IS NULL
), given AS (
    -- An author that is known as something else than a user receives nothing.
    SELECT {actor[person]} AS person, CASE WHEN n.account_id IS NULL THEN {author[person]} END AS author, hour
    FROM reactions AS r {actor[link]} {author[link]}
    LEFT JOIN (
        SELECT DISTINCT platform, account_id FROM community_non_users WHERE community_id = ANY(CAST(:parts AS text[]))
    ) AS n ON (n.platform, n.account_id) = (r.platform, r.object_author_id)
), observed AS (
    SELECT
        platform, member_id,
        event_type AS type, lead(event_type) OVER line AS next_type,
        occurred_at AS since, lead(occurred_at) OVER line AS until
    FROM facts WHERE event_type LIKE 'VOICE%'
    WINDOW line AS (
        PARTITION BY member_id, platform
        ORDER BY occurred_at, array_position(ARRAY['VOICE_LEFT', 'VOICE_PRESENT', 'VOICE_JOINED'], event_type)
    )
), stays AS (
    -- The time between two observations, limited to the day; overlapping stays of one person are merged.
    SELECT {voice[person]} AS person,
        unnest(range_agg(tstzrange(since, until)) * CAST(:moments AS tstzmultirange)) AS span
    FROM observed AS o {voice[link]}
    WHERE type IN ('VOICE_JOINED', 'VOICE_PRESENT') AND next_type IN ('VOICE_PRESENT', 'VOICE_LEFT')
        AND until - since <= {reach}
    GROUP BY 1
), voice AS (
    SELECT person,
        CAST(floor(extract(epoch FROM sum(upper(span) - lower(span))) / 60) AS integer) AS minutes,
        bit_or(clock.hours) AS hours
    FROM stays
    CROSS JOIN LATERAL (
        SELECT bit_or(1 << hour) AS hours FROM unnest((:hours)[{first} : {last}]) AS shown (hour)
    ) AS clock
    GROUP BY person
), acts (person, messages, reactions, received, minutes, hours) AS (
    SELECT {sender[person]}, messages, 0, 0, 0, hours FROM messages AS m {sender[link]} WHERE member_id IS NOT NULL
    UNION ALL SELECT person, 0, 1, 0, 0, 1 << hour FROM given
    UNION ALL SELECT author, 0, 0, 1, 0, 0 FROM given WHERE author <> person
    UNION ALL SELECT person, 0, 0, 0, minutes, hours FROM voice
), sums AS (
    SELECT person, sum(messages) AS messages, sum(reactions) AS reactions, sum(received) AS received,
        sum(minutes) AS minutes, bit_count(CAST(bit_or(hours) AS bit(24))) AS hours
    FROM acts GROUP BY person
), members AS (
    INSERT INTO member_daily_highlights (
        community_id, highlight_date, member_id, message_count, reaction_count, reactions_received,
        voice_minutes, active_hours, reputation_earned
    )
    SELECT :community_id, :day, person, messages, reactions, received, minutes, hours,
        least(messages, :message_cap) + least(reactions, :reaction_cap)
            + :received_weight * least(received, :received_cap)
            + least(minutes, :voice_minutes_cap) / :voice_minutes_per_point
    FROM sums WHERE messages > 0 OR reactions > 0 OR received > 0 OR minutes > 0
    RETURNING message_count, reaction_count, voice_minutes
), peak AS (
    SELECT hour FROM (
        SELECT hour, messages AS acts FROM messages WHERE hour IS NOT NULL UNION ALL SELECT hour, 1 FROM given
    ) AS hours
    GROUP BY hour ORDER BY sum(acts) DESC, hour LIMIT 1
), moves AS (
    SELECT count(DISTINCT person) FILTER (WHERE event_type = 'MEMBER_JOINED') AS joined,
        count(DISTINCT person) FILTER (WHERE event_type = 'MEMBER_LEFT') AS left_it
    FROM (
        SELECT event_type, {mover[person]} AS person
        FROM facts AS f {mover[link]} WHERE event_type LIKE 'MEMBER%'
    ) AS movers
)
INSERT INTO community_daily_highlights (
    community_id, highlight_date, active_members, message_count, reaction_count, voice_minutes,
    members_joined, members_left, peak_hour, rules_version
)
SELECT :community_id, :day,
    count(*) FILTER (WHERE {active}),
    coalesce(sum(message_count), 0), coalesce(sum(reaction_count), 0), coalesce(sum(voice_minutes), 0),
    (SELECT joined FROM moves), (SELECT left_it FROM moves), (SELECT hour FROM peak), :version
FROM members
HAVING EXISTS (SELECT FROM facts WHERE hour IS NOT NULL)
"""


def _insert_day(unless_duplicate: str = "") -> TextClause:
    """Return the statement that computes a day. unless_duplicate: a condition on the events, or nothing."""
    return text(
        _INSERT_ANY_DAY.format(
            unless_duplicate=unless_duplicate,
            reach=calendar.VOICE_REACH,
            piece=_CLOCK_PIECE.format(moment="occurred_at"),
            first=_CLOCK_PIECE.format(moment="lower(span)"),
            last=_CLOCK_PIECE.format(moment="upper(span) - interval '1 microsecond'"),
            active=IS_ACTIVE,
            actor=_person("r", link="a"),
            author=_person("r", "object_author_id", link="b"),
            voice=_person("o"),
            sender=_person("m"),
            mover=_person("f"),
        )
    )


_INSERT_DAY = _insert_day()
_INSERT_DAY_OF_PARTS = _insert_day(_UNLESS_DUPLICATE)


@dataclass(frozen=True, slots=True)
class ReputationRule:
    """A version of the rule for `reputation_earned`: a sum of capped counts.

    min(messages, message_cap) + min(reactions, reaction_cap) + received_weight × min(received, received_cap)
    + ⌊min(voice minutes, voice_minutes_cap) / voice_minutes_per_point⌋.
    """

    version: int
    message_cap: int
    reaction_cap: int
    received_weight: int
    received_cap: int
    voice_minutes_cap: int
    voice_minutes_per_point: int


def replace_day(connection: Connection, community_id: str, day: date, rule: ReputationRule) -> bool:
    """Compute the community's local day from the raw events of all its parts.

    Returns False if the community is unknown, or is a part of another one, for which its events count.
    Replaces the rows of the day. The caller commits. Repeating it is safe: it writes the same rows. Marks of the day
    that this transaction does not see yet stay, so an event that arrives meanwhile makes the day due again.
    """
    locks.share_time_zones(connection)
    key: dict[str, object] = {"community_id": community_id, "day": day}
    clock = connection.execute(_SELECT_DAY_CLOCK, key).one_or_none()
    if clock is None:
        return False
    start, end, moments, begins, hours = clock
    ids = parts.parts_of(connection, community_id)
    if moments is not None:
        non_users.note_between(connection, ids, start, end)
    locks.lock_day(connection, key)
    for statement in (_UNMARK_DAY, *_DELETE_DAY):
        connection.execute(statement, key)
    if moments is not None:
        span = {"start": start, "end": end, "moments": moments, "begins": begins, "hours": hours, "parts": ids}
        connection.execute(_TUNE_SESSION)
        values = {**key, **span, **asdict(rule)}
        shared = connection.execute(_SELECT_SHARED_CHANNELS, values).all() if len(ids) > 1 else []
        platforms, channels = [row[0] for row in shared], [row[1] for row in shared]
        statement = _INSERT_DAY_OF_PARTS if shared else _INSERT_DAY
        connection.execute(statement, {**values, "shared_platforms": platforms, "shared_channels": channels})
    return True
