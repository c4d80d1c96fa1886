"""Many rows that PostgreSQL creates: days of many members in ten communities.

The rows are in the same order as those of a worker: batches in the order of their times, and each batch by its key.
"""

from datetime import datetime, timedelta
from typing import Final

from benchmarks.servers import Bench

BATCH: Final = 5_000

# Of 100 events, 76 are messages of users, 1 is a message of a bot, 12 add and 3 remove a reaction, 6 are voice events,
# and 2 are joins or leaves. A member has three voice events in a row: joined, present, left.
_ROWS: Final = """
INSERT INTO participation_events (
    community_id, occurred_at, event_id, platform, event_type, channel_id, object_id, object_author_id, member_id,
    actor_kind, metadata
)
SELECT
    'discord:' || 910000000000000000 + mod(member, 10),
    CAST(%(start)s AS timestamptz) + number * (interval '1 day' / %(count)s),
    gen_random_uuid(),
    'discord',
    CASE
        WHEN kind < 77 THEN 'MESSAGE_SENT'
        WHEN kind < 89 THEN 'REACTION_ADDED'
        WHEN kind < 92 THEN 'REACTION_REMOVED'
        WHEN kind < 98 THEN (ARRAY['VOICE_JOINED', 'VOICE_PRESENT', 'VOICE_LEFT'])[1 + mod(number / 100, 3)]
        WHEN kind < 99 THEN 'MEMBER_JOINED'
        ELSE 'MEMBER_LEFT'
    END,
    CASE WHEN kind < 98 THEN CAST(720000000000000000 + mod(number, 40) AS text) END,
    CASE WHEN kind < 92 THEN CAST(1190000000000000000 + number - mod(number, 7) AS text) END,
    CASE WHEN kind BETWEEN 77 AND 91 THEN CAST(310000000000000000 + mod(number * 31, %(members)s) AS text) END,
    CAST(310000000000000000 + member AS text),
    CASE WHEN kind = 76 THEN 'bot' ELSE 'user' END,
    CASE WHEN kind BETWEEN 77 AND 91 THEN jsonb '{"emoji": "👍"}' ELSE jsonb '{}' END
FROM (
    SELECT number, mod(number, 100) AS kind, mod(
        abs(CAST(hashint8(
            CASE WHEN mod(number, 100) BETWEEN 92 AND 97 THEN -(number / 300) * 100 - mod(number, 100) ELSE number END
        ) AS bigint)), %(members)s
    ) AS member
    FROM generate_series(CAST(0 AS bigint), %(count)s - 1) AS numbers (number)
) AS drawn
ORDER BY number / %(batch)s, mod(member, 10), number
"""


def day(bench: Bench, start: datetime, count: int, members: int) -> None:
    """Add this many events of the day that begins at `start`."""
    bench.sql(_ROWS, start=start, count=count, members=members, batch=BATCH)


def days(bench: Bench, last: datetime, number: int, count: int, members: int) -> None:
    """Add this many days, of which the last begins at `last`. Then run VACUUM and ANALYZE, as autovacuum does."""
    for back in reversed(range(number)):
        day(bench, last - timedelta(days=back), count, members)
    bench.sql("VACUUM (ANALYZE) participation_events")
    bench.sql(
        "INSERT INTO communities (community_id) SELECT DISTINCT community_id FROM participation_events "
        "ON CONFLICT DO NOTHING"
    )
