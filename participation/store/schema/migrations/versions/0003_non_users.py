"""Accounts that are something else than a user: bots, webhooks and others receive no reactions."""

from alembic import op

revision = "0003"
down_revision = "0002"

NON_USERS = """
CREATE TABLE community_non_users (
    community_id text NOT NULL,
    platform text NOT NULL,
    account_id text NOT NULL,
    CONSTRAINT community_non_users_pkey PRIMARY KEY (community_id, platform, account_id)
);
COMMENT ON TABLE community_non_users IS
    'accounts of which an event with another actor_kind than user is stored; they receive no reactions';

INSERT INTO community_non_users
SELECT DISTINCT community_id, platform, member_id FROM participation_events WHERE actor_kind <> 'user';

INSERT INTO due_days (community_id, highlight_date)
SELECT DISTINCT h.community_id, h.highlight_date
FROM community_non_users AS n
LEFT JOIN member_accounts AS link USING (platform, account_id)
JOIN member_daily_highlights AS h ON h.community_id = n.community_id
    AND h.member_id = coalesce(link.person_id, n.platform || ':' || n.account_id) AND h.reactions_received > 0;
"""


def upgrade() -> None:
    op.execute(NON_USERS)
