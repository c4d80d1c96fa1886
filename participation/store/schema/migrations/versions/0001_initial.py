"""The tables of the first version."""

from alembic import op

revision = "0001"
down_revision = None

EVENTS = """
CREATE TABLE participation_events (
    community_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    platform text NOT NULL,
    event_type text NOT NULL,
    channel_id text,
    member_id text NOT NULL,
    object_id text,
    object_author_id text,
    actor_kind text NOT NULL,
    metadata jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    import_id uuid,
    CONSTRAINT participation_events_pkey PRIMARY KEY (community_id, occurred_at, event_id)
) PARTITION BY RANGE (occurred_at);
COMMENT ON COLUMN participation_events.import_id IS 'the import that brought the event, if one did';

CREATE TABLE communities (
    community_id text NOT NULL CONSTRAINT communities_pkey PRIMARY KEY,
    name text,
    timezone text NOT NULL DEFAULT 'UTC',
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE member_accounts (
    platform text NOT NULL,
    account_id text NOT NULL,
    person_id text NOT NULL,
    linked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT member_accounts_pkey PRIMARY KEY (platform, account_id)
);
CREATE INDEX member_accounts_person_id_idx ON member_accounts (person_id);
"""

BOOKS = """
CREATE TABLE ingest_batches (
    batch_id text NOT NULL CONSTRAINT ingest_batches_pkey PRIMARY KEY,
    received integer NOT NULL DEFAULT 0,
    stored integer NOT NULL DEFAULT 0,
    duplicates integer NOT NULL DEFAULT 0,
    dead integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ingest_batches_stored_at_idx ON ingest_batches (stored_at);

CREATE TABLE import_counts (
    import_id uuid NOT NULL,
    batch_id text NOT NULL,
    stored integer NOT NULL DEFAULT 0,
    duplicates integer NOT NULL DEFAULT 0,
    dead integer NOT NULL DEFAULT 0,
    CONSTRAINT import_counts_pkey PRIMARY KEY (import_id, batch_id)
);
COMMENT ON TABLE import_counts IS 'what each batch made of the events of an import';

CREATE TABLE dead_letters (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT dead_letters_pkey PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL,
    detail text NOT NULL,
    raw bytea NOT NULL,
    raw_bytes bigint NOT NULL,
    raw_sha256 bytea NOT NULL,
    batch_id text NOT NULL,
    replayed_at timestamptz
);
COMMENT ON COLUMN dead_letters.raw IS 'the list element, cut off at its first 64 KiB';
COMMENT ON COLUMN dead_letters.raw_bytes IS 'length of the whole list element';
COMMENT ON COLUMN dead_letters.raw_sha256 IS 'SHA-256 of the whole list element';
CREATE INDEX dead_letters_received_at_idx ON dead_letters (received_at);
"""

HIGHLIGHTS = """
CREATE TABLE due_days (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT due_days_pkey PRIMARY KEY,
    community_id text NOT NULL,
    highlight_date date NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE due_days IS
    'local days whose events changed since they were last computed; a day may stand here several times';
CREATE INDEX due_days_community_id_highlight_date_idx ON due_days (community_id, highlight_date);

CREATE TABLE member_daily_highlights (
    community_id text NOT NULL,
    highlight_date date NOT NULL,
    member_id text NOT NULL,
    message_count integer NOT NULL,
    reaction_count integer NOT NULL,
    reactions_received integer NOT NULL,
    voice_minutes integer NOT NULL,
    active_hours smallint NOT NULL,
    reputation_earned integer NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT member_daily_highlights_pkey PRIMARY KEY (community_id, highlight_date, member_id)
);

CREATE TABLE community_daily_highlights (
    community_id text NOT NULL,
    highlight_date date NOT NULL,
    active_members integer NOT NULL,
    message_count integer NOT NULL,
    reaction_count integer NOT NULL,
    voice_minutes integer NOT NULL,
    members_joined integer NOT NULL,
    members_left integer NOT NULL,
    peak_hour smallint,
    rules_version smallint NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT community_daily_highlights_pkey PRIMARY KEY (community_id, highlight_date)
);
COMMENT ON COLUMN community_daily_highlights.peak_hour IS
    'local hour with the most messages and reactions, the first of equals';
COMMENT ON COLUMN community_daily_highlights.rules_version IS
    'version of the rules that computed the day';
"""


def upgrade() -> None:
    for statements in (EVENTS, BOOKS, HIGHLIGHTS):
        op.execute(statements)
