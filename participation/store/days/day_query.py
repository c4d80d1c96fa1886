"""The statement that computes a day, as a template for `day_variants`. `docs/highlights.md` explains the figures."""

from typing import Final

IS_ACTIVE: Final = "(message_count > 0 OR reaction_count > 0 OR voice_minutes > 0)"
"""Condition on a row: somebody was active on the day. Receiving reactions alone is not activity (fixed)."""

INSERT_DAY: Final = """
WITH facts AS MATERIALIZED (
    -- Events of users on the day; voice events also up to twelve hours before and after it.
    SELECT
        event_type, platform, member_id, channel_id, object_id, object_author_id, occurred_at,
        CASE WHEN event_type <> 'MESSAGE_SENT' THEN metadata ->> 'emoji' END AS emoji,
        {place} AS place, {more_facts} (:hours)[{piece}] AS hour
    FROM participation_events AS e
    WHERE community_id = ANY(CAST(:parts AS text[]))
        AND actor_kind = 'user'
        AND occurred_at >= CAST(:start AS timestamptz) - {reach}
        AND occurred_at <= CAST(:end AS timestamptz) + {reach}
        AND (event_type LIKE 'VOICE%' OR occurred_at <@ CAST(:moments AS tstzmultirange))
        {only}
), messages AS (
    -- Grouped by account and place, and in other rows by hour. Most rows are messages, and this reads them only once.
    SELECT platform, member_id, channel_id, place, hour, CAST(count(*) AS integer) AS messages,
        bit_or(1 << hour) AS hours
    FROM facts WHERE event_type = 'MESSAGE_SENT' {kept}
    GROUP BY GROUPING SETS ((platform, member_id, channel_id, place), (hour))
), others AS MATERIALIZED (
    -- Few rows, which are read several times.
    SELECT * FROM facts WHERE event_type <> 'MESSAGE_SENT'
), last_reactions AS (
    -- The last reaction event of an account on an object and emoji; at equal times, the removal is later.
    -- The most selective columns come first, so that the sort rarely compares the others.
    SELECT DISTINCT ON (object_id, member_id, channel_id, emoji, platform)
        event_type, platform, member_id, channel_id, object_id, object_author_id, place, {more_columns} hour
    FROM others WHERE event_type LIKE 'REACTION%' AND object_id IS NOT NULL
    ORDER BY object_id, member_id, channel_id, emoji, platform,
        occurred_at DESC, event_type DESC, object_author_id COLLATE "C" DESC NULLS LAST,
        place COLLATE "C" DESC NULLS LAST
), reactions AS (
    SELECT platform, member_id, channel_id, object_id, object_author_id, place, hour
    FROM last_reactions WHERE event_type = 'REACTION_ADDED' {kept}
    UNION ALL
    SELECT platform, member_id, channel_id, object_id, object_author_id, place, hour
    FROM others WHERE event_type = 'REACTION_ADDED' AND object_id IS NULL {kept}
), structure AS (
    {structure}
), {lookup} placed AS (
    {placed}
), given AS (
    -- An author that is known as something else than a user receives nothing.
    SELECT {actor[person]} AS person, CASE WHEN {may_receive} THEN {author[person]} END AS author, hour,
        r.platform, r.channel_id, r.place
    FROM placed AS r {actor[link]} {author[link]}
    LEFT JOIN (
        SELECT DISTINCT platform, account_id FROM community_non_users WHERE community_id = ANY(CAST(:parts AS text[]))
    ) AS n ON (n.platform, n.account_id) = (r.platform, r.object_author_id)
), senders AS (
    SELECT {sender[person]} AS person, m.platform, channel_id, place, messages, hours
    FROM messages AS m {sender[link]} WHERE member_id IS NOT NULL
), {chats} observed AS (
    SELECT
        platform, member_id, channel_id, place, {more_columns}
        event_type AS type, lead(event_type) OVER line AS next_type,
        occurred_at AS since, lead(occurred_at) OVER line AS until
    FROM others WHERE event_type LIKE 'VOICE%'
    WINDOW line AS (
        PARTITION BY member_id, platform
        ORDER BY occurred_at, array_position(ARRAY['VOICE_LEFT', 'VOICE_PRESENT', 'VOICE_JOINED'], event_type),
            channel_id COLLATE "C" NULLS FIRST, place COLLATE "C" NULLS FIRST {line_order}
    )
), stays AS (
    -- The time between two observations, in the channel of the first one.
    SELECT {voice[person]} AS person, o.platform, o.channel_id, {more_columns}
        {channel_of_stay} AS channel, tstzrange(since, until) AS span
    FROM observed AS o {voice[link]} {join_stay}
    WHERE type IN ('VOICE_JOINED', 'VOICE_PRESENT') AND next_type IN ('VOICE_PRESENT', 'VOICE_LEFT')
        AND until - since <= {reach} {kept}
), voice_spans AS (
    -- Limited to the day. Overlapping stays of one person are merged, in each channel and in all of them.
    SELECT person, platform, channel, grouping(channel) = 1 AS is_whole,
        unnest(range_agg(span) * CAST(:moments AS tstzmultirange)) AS span
    FROM stays GROUP BY GROUPING SETS ((person, platform, channel), (person))
), voice AS (
    SELECT person, platform, channel, is_whole,
        CAST(floor(extract(epoch FROM sum(upper(span) - lower(span))) / 60) AS integer) AS minutes,
        bit_or(clock.hours) AS hours
    FROM voice_spans
    CROSS JOIN LATERAL (
        SELECT bit_or(1 << hour) AS hours
        FROM unnest(CASE WHEN is_whole THEN (:hours)[{first} : {last}] END) AS shown (hour)
    ) AS clock
    GROUP BY person, platform, channel, is_whole
), {together} acts (person, messages, reactions, received, minutes, hours) AS (
    SELECT person, messages, 0, 0, 0, hours FROM senders
    UNION ALL SELECT person, 0, 1, 0, 0, 1 << hour FROM given
    UNION ALL SELECT author, 0, 0, 1, 0, 0 FROM given WHERE author <> person
    UNION ALL SELECT person, 0, 0, 0, minutes, hours FROM voice WHERE is_whole
), sums AS (
    SELECT person, sum(messages) AS messages, sum(reactions) AS reactions, sum(received) AS received,
        sum(minutes) AS minutes, bit_count(CAST(bit_or(hours) AS bit(24))) AS hours
    FROM acts GROUP BY person
), members AS (
    INSERT INTO member_daily_highlights (
        community_id, highlight_date, member_id, message_count, reaction_count, reactions_received,
        voice_minutes, active_hours, voice_minutes_together, reputation_earned
    )
    SELECT :community_id, :day, person, messages, reactions, received, minutes, hours, {minutes_together},
        floor(
            :message_weight * least(messages, :message_cap) + :reaction_weight * least(reactions, :reaction_cap)
                + :received_weight * least(received, :received_cap)
                + least({minutes_of_reputation}, :voice_minutes_cap) / :voice_minutes_per_point
        )
    FROM sums {join_together} WHERE messages > 0 OR reactions > 0 OR received > 0 OR minutes > 0
    RETURNING message_count, reaction_count, voice_minutes
), channel_members AS (
    SELECT platform, channel, person, sum(messages) AS message_count, sum(reactions) AS reaction_count,
        sum(minutes) AS voice_minutes
    FROM (
        SELECT p.platform, {channel_of_act} AS channel, person, messages, reactions, 0 AS minutes
        FROM (
            SELECT platform, channel_id, place, person, messages, 0 AS reactions FROM senders
            UNION ALL SELECT platform, channel_id, place, person, 0, 1 FROM given
        ) AS p {join_act} WHERE p.channel_id IS NOT NULL
        UNION ALL
        SELECT platform, channel, person, 0, 0, minutes FROM voice WHERE NOT is_whole AND channel IS NOT NULL
    ) AS acts
    GROUP BY platform, channel, person
), channel_days AS (
    INSERT INTO channel_daily_highlights (
        community_id, highlight_date, platform, channel_id, active_members, message_count, reaction_count, voice_minutes
    )
    SELECT :community_id, :day, platform, channel, count(*), sum(message_count), sum(reaction_count), sum(voice_minutes)
    FROM channel_members WHERE {active} GROUP BY platform, channel
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
        FROM others AS f {mover[link]} WHERE event_type LIKE 'MEMBER%' {kept}
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
HAVING EXISTS (SELECT FROM facts WHERE hour IS NOT NULL {kept})
RETURNING EXISTS (
    SELECT FROM given
    WHERE platform = 'telegram' AND place IS NULL AND channel_id IN (SELECT chat_id FROM topic_chats)
)
"""
