"""Names of accounts, channels and spaces; notices in batches; the presence of bots by space."""

from alembic import op

revision = "0004"
down_revision = "0003"

NAMES = """
CREATE TABLE account_names (
    community_id text NOT NULL,
    platform text NOT NULL,
    account_id text NOT NULL,
    name text,
    username text,
    joined_at timestamptz,
    seen_at timestamptz NOT NULL,
    CONSTRAINT account_names_pkey PRIMARY KEY (community_id, platform, account_id)
);
CREATE INDEX account_names_platform_account_id_idx ON account_names (platform, account_id);
COMMENT ON TABLE account_names IS
    'what accounts are called in a community, by the latest notice; joined_at is the earliest that was told';

CREATE TABLE channel_names (
    community_id text NOT NULL,
    platform text NOT NULL,
    channel_id text NOT NULL,
    name text,
    parent_id text,
    category_id text,
    is_public boolean,
    seen_at timestamptz NOT NULL,
    CONSTRAINT channel_names_pkey PRIMARY KEY (community_id, platform, channel_id)
);
COMMENT ON TABLE channel_names IS 'what channels are called and where they belong, by the latest notice';
COMMENT ON COLUMN channel_names.is_public IS
    'every member may read it; NULL is unknown and is treated as not public';

CREATE TABLE space_names (
    community_id text NOT NULL,
    platform text NOT NULL,
    space_id text NOT NULL,
    name text,
    seen_at timestamptz NOT NULL,
    CONSTRAINT space_names_pkey PRIMARY KEY (community_id, platform, space_id)
);
COMMENT ON TABLE space_names IS
    'what the guilds, chats and workspaces of a community are called, by the latest notice';
"""

NOTICES = """
ALTER TABLE ingest_batches ADD COLUMN notices integer DEFAULT 0 NOT NULL;
COMMENT ON COLUMN ingest_batches.notices IS 'beside `received`, not in it';
"""

SPACES = """
ALTER TABLE community_bots ADD COLUMN space_id text DEFAULT '' NOT NULL;
COMMENT ON COLUMN community_bots.space_id IS 'empty if the bot did not tell it';
ALTER TABLE community_bots DROP CONSTRAINT community_bots_pkey;
ALTER TABLE community_bots ADD CONSTRAINT community_bots_pkey PRIMARY KEY (community_id, platform, space_id);
"""


def upgrade() -> None:
    for statement in (NAMES, NOTICES, SPACES):
        op.execute(statement)
