"""Communities with parts, and communities that were deleted."""

from alembic import op

revision = "0006"
down_revision = "0005"

PARTS = """
CREATE TABLE community_parts (
    part_id text NOT NULL,
    community_id text NOT NULL,
    grouped_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT community_parts_pkey PRIMARY KEY (part_id)
);
CREATE INDEX community_parts_community_id_idx ON community_parts (community_id);
COMMENT ON TABLE community_parts IS 'ids whose events count for another community; a community is never a part itself';
"""

DELETED = """
CREATE TABLE deleted_communities (
    community_id text NOT NULL,
    deleted_at timestamptz NOT NULL,
    is_finished boolean DEFAULT false NOT NULL,
    CONSTRAINT deleted_communities_pkey PRIMARY KEY (community_id)
);
COMMENT ON TABLE deleted_communities IS 'ids of which nothing is kept that occurred before the time';
COMMENT ON COLUMN deleted_communities.is_finished IS 'no earlier events are left';

ALTER TABLE ingest_batches ADD COLUMN deleted integer DEFAULT 0 NOT NULL;
COMMENT ON COLUMN ingest_batches.deleted IS 'beside `received`, not in it';
ALTER TABLE import_counts ADD COLUMN deleted integer DEFAULT 0 NOT NULL;
"""

FORMER = "ALTER TABLE space_names ADD COLUMN former_id text"


def upgrade() -> None:
    for statement in (PARTS, DELETED, FORMER):
        op.execute(statement)
