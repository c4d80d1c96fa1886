"""Members who opted out, what batches left out for them, and communities whose bot was removed."""

from alembic import op

revision = "0002"
down_revision = "0001"

PRIVACY = """
ALTER TABLE ingest_batches ADD COLUMN opted_out integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN ingest_batches.opted_out IS 'beside `received`, not in it';
ALTER TABLE import_counts ADD COLUMN opted_out integer NOT NULL DEFAULT 0;

CREATE TABLE hash_keys (
    name text NOT NULL CONSTRAINT hash_keys_pkey PRIMARY KEY,
    key bytea NOT NULL
);
COMMENT ON COLUMN hash_keys.name IS 'the table whose hashes are made with it';

CREATE TABLE opt_outs (
    account_hash bytea NOT NULL CONSTRAINT opt_outs_pkey PRIMARY KEY,
    until timestamptz NOT NULL
);
COMMENT ON COLUMN opt_outs.account_hash IS 'HMAC-SHA256 of [platform, account_id] as JSON';
COMMENT ON COLUMN opt_outs.until IS 'what the account did before is not kept';

CREATE TABLE community_bots (
    community_id text NOT NULL,
    platform text NOT NULL,
    is_present boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT community_bots_pkey PRIMARY KEY (community_id, platform)
);
COMMENT ON TABLE community_bots IS
    'whether the bot of a platform is in the community; where it was removed, its data is deleted in time';
"""


def upgrade() -> None:
    op.execute(PRIVACY)
