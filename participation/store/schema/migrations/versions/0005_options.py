"""Options of communities: figures by channel, voice time with others, and events of ignored channels."""

from alembic import op

revision = "0005"
down_revision = "0004"

CHANNELS = """
CREATE TABLE channel_daily_highlights (
    community_id text NOT NULL,
    highlight_date date NOT NULL,
    platform text NOT NULL,
    channel_id text NOT NULL,
    active_members integer NOT NULL,
    message_count integer NOT NULL,
    reaction_count integer NOT NULL,
    voice_minutes integer NOT NULL,
    computed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT channel_daily_highlights_pkey PRIMARY KEY (community_id, highlight_date, platform, channel_id)
);
COMMENT ON TABLE channel_daily_highlights IS 'what happened in each channel; threads count for their parent';
"""

TOGETHER = """
ALTER TABLE member_daily_highlights ADD COLUMN voice_minutes_together integer;
COMMENT ON COLUMN member_daily_highlights.voice_minutes_together
    IS 'not alone and not deafened; NULL if all voice minutes count';
"""

IGNORED = """
ALTER TABLE ingest_batches ADD COLUMN ignored integer DEFAULT 0 NOT NULL;
COMMENT ON COLUMN ingest_batches.ignored IS 'beside `received`, not in it';
ALTER TABLE import_counts ADD COLUMN ignored integer DEFAULT 0 NOT NULL;
"""


def upgrade() -> None:
    for statement in (CHANNELS, TOGETHER, IGNORED):
        op.execute(statement)
