"""The variants of the statement that computes a day. Parts that a community does not need are left out."""

from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import TextClause, text

from participation.store.days import calendar, channels, day_query

# Two bots may record one channel under different parts, so that an event is stored twice. The second one adds nothing
# to voice, joins, leaves and reactions to an object. Only these events must be compared with those of other parts.
IS_COUNTED_ALONE: Final = "(event_type = 'MESSAGE_SENT' OR (event_type LIKE 'REACTION%' AND object_id IS NULL))"

_UNLESS_DUPLICATE: Final = f"""
AND NOT ({IS_COUNTED_ALONE} AND (platform, coalesce(channel_id, '')) IN (
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


_TOPIC_CHATS: Final = """topic_chats (chat_id) AS (
    SELECT unnest(CAST(:topic_chats AS text[]))
    UNION SELECT channel_id FROM {seen} WHERE platform = 'telegram' AND place IS NOT NULL
),"""

# Telegram tells neither the topic nor the author of a message with a reaction to it. The message is stored, perhaps.
_LOOKUP: Final = """wanted AS (
    SELECT DISTINCT platform, channel_id, object_id FROM reactions
    WHERE CAST(:authors_from_messages AS boolean) AND object_author_id IS NULL
        OR platform = 'telegram' AND place IS NULL AND channel_id IN (SELECT chat_id FROM topic_chats)
), origins AS MATERIALIZED (
    SELECT DISTINCT ON (platform, channel_id, object_id)
        platform, channel_id, object_id, member_id, metadata ->> 'topic_id' AS topic
    FROM participation_events
    WHERE (SELECT EXISTS (SELECT FROM wanted))
        AND community_id = ANY(CAST(:parts AS text[])) AND event_type = 'MESSAGE_SENT' AND occurred_at < :end
        AND (platform, channel_id, object_id) IN (SELECT platform, channel_id, object_id FROM wanted)
    ORDER BY platform, channel_id, object_id, occurred_at DESC, member_id COLLATE "C" DESC,
        metadata ->> 'topic_id' COLLATE "C" DESC NULLS LAST
),"""

_SEEN_PLACES: Final = """
(SELECT platform, channel_id, place FROM messages UNION ALL SELECT platform, channel_id, place FROM {reactions}) AS seen
"""

_PLACED: Final = "SELECT platform, member_id, channel_id, object_author_id, place, hour FROM reactions "

_PLACED_BY_ORIGIN: Final = """
SELECT * FROM (
    SELECT r.platform, r.member_id, r.channel_id,
        coalesce(object_author_id, CASE WHEN :authors_from_messages THEN o.member_id END) AS object_author_id,
        CASE WHEN r.platform = 'telegram' AND r.channel_id IN (SELECT chat_id FROM topic_chats)
            THEN coalesce(place, topic) ELSE place END AS place,
        hour
    FROM reactions AS r LEFT JOIN origins AS o
        ON (o.platform, o.channel_id, o.object_id) = (r.platform, r.channel_id, r.object_id)
) AS placed
"""

_UNLESS_EXCLUDED_TOPIC: Final = """
WHERE (platform = 'telegram' AND 'telegram:' || channel_id || '/' || coalesce(place, '1')
    = ANY(CAST(:excluded_channels AS text[]))) IS NOT TRUE
"""

_UNLESS_EXCLUDED: Final = " AND {row}.platform || ':' || {row}.{account} <> ALL(CAST(:excluded_accounts AS text[]))"

# Each border of a stay changes how many persons are in the channel. Where two are, nobody is alone.
_TOGETHER: Final = """presence AS (
    SELECT person, platform, channel_id, range_agg(span) AS spans, range_agg(span) FILTER (WHERE NOT is_deaf) AS heard
    FROM stays GROUP BY person, platform, channel_id
), crowds AS (
    SELECT platform, channel_id, sum(sum(change)) OVER line AS persons,
        tstzrange(moment, lead(moment) OVER line) AS span
    FROM (
        SELECT platform, channel_id, lower(span) AS moment, 1 AS change
        FROM presence CROSS JOIN LATERAL unnest(spans) AS given (span)
        UNION ALL
        SELECT platform, channel_id, upper(span), -1
        FROM presence CROSS JOIN LATERAL unnest(spans) AS given (span)
    ) AS borders
    GROUP BY platform, channel_id, moment
    WINDOW line AS (PARTITION BY platform, channel_id ORDER BY moment)
), company AS (
    SELECT platform, channel_id, range_agg(span) AS spans FROM crowds WHERE persons > 1 GROUP BY platform, channel_id
), together AS (
    SELECT person, CAST(floor(extract(epoch FROM sum(upper(span) - lower(span))) / 60) AS integer) AS together_minutes
    FROM (
        SELECT person, unnest(range_agg(span) * CAST(:moments AS tstzmultirange)) AS span
        FROM presence AS p JOIN company AS c
            ON c.platform = p.platform AND c.channel_id IS NOT DISTINCT FROM p.channel_id
        CROSS JOIN LATERAL unnest(heard * c.spans) AS shared (span)
        GROUP BY person
    ) AS merged
    GROUP BY person
),"""


class Variant(NamedTuple):
    """The parts of the statement that a community needs.

    duplicates: some events are stored under two parts. exclusions: members or channels are excluded. together: voice
    time alone does not count for reputation. lookup: the topics or authors of messages are looked up for reactions.
    """

    duplicates: bool
    exclusions: bool
    together: bool
    lookup: bool


@cache
def insert_day(variant: Variant) -> TextClause:
    """Return the statement that computes a day. It returns true if it has to be repeated with `lookup`."""
    return text(day_query.INSERT_DAY.format(**_fixed(), **_exclusions(variant), **_lookup(variant), **_voice(variant)))


def _fixed() -> dict[str, Any]:
    channel, join = channels.CHANNEL, channels.JOIN_STRUCTURE
    return {
        "place": channels.PLACE,
        "structure": channels.STRUCTURE,
        "channel_of_stay": channel.format(row="o"),
        "join_stay": join.format(row="o"),
        "channel_of_act": channel.format(row="p"),
        "join_act": join.format(row="p"),
        "reach": calendar.VOICE_REACH,
        "piece": _CLOCK_PIECE.format(moment="occurred_at"),
        "first": _CLOCK_PIECE.format(moment="lower(span)"),
        "last": _CLOCK_PIECE.format(moment="upper(span) - interval '1 microsecond'"),
        "active": day_query.IS_ACTIVE,
        "actor": _person("r", link="a"),
        "author": _person("r", "object_author_id", link="b"),
        "voice": _person("o"),
        "sender": _person("m"),
        "mover": _person("f"),
    }


def _exclusions(variant: Variant) -> dict[str, str]:
    parts = {
        "only": _UNLESS_DUPLICATE if variant.duplicates else "",
        "may_receive": "n.account_id IS NULL",
        "kept": "",
    }
    if variant.exclusions:
        parts["only"] += _UNLESS_EXCLUDED.format(row="e", account="member_id")
        parts["may_receive"] += _UNLESS_EXCLUDED.format(row="r", account="object_author_id")
        parts["kept"] = "AND NOT is_excluded"
    return parts


def _lookup(variant: Variant) -> dict[str, str]:
    unless_excluded = _UNLESS_EXCLUDED_TOPIC if variant.exclusions else ""
    if not variant.lookup:
        chats = _TOPIC_CHATS.format(seen=_SEEN_PLACES.format(reactions="given"))
        return {"lookup": "", "placed": _PLACED + unless_excluded, "chats": chats}
    chats = _TOPIC_CHATS.format(seen=_SEEN_PLACES.format(reactions="reactions"))
    return {"lookup": chats + _LOOKUP, "placed": _PLACED_BY_ORIGIN + unless_excluded, "chats": ""}


def _voice(variant: Variant) -> dict[str, str]:
    """Return the parts for voice, and the columns of events that only some variants have."""
    is_excluded = channels.IS_BELOW.format(channels=":excluded_channels")
    columns = {"is_excluded": is_excluded} if variant.exclusions else {}
    if variant.together:
        columns["is_deaf"] = "metadata -> 'deaf' = 'true'"
    parts = {
        "more_facts": "".join(f"coalesce({sql}, false) AS {name}," for name, sql in columns.items()),
        "more_columns": "".join(f"{name}, " for name in columns),
    }
    if not variant.together:
        none = {"line_order": "", "together": "", "join_together": "", "minutes_together": "NULL"}
        return {**parts, **none, "minutes_of_reputation": "minutes"}
    minutes = "coalesce(together_minutes, 0)"
    join = "LEFT JOIN together USING (person)"
    more = {"line_order": ", is_deaf", "together": _TOGETHER, "join_together": join, "minutes_together": minutes}
    return {**parts, **more, "minutes_of_reputation": minutes}
