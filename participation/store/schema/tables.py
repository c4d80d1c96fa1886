"""The tables. Columns that `docs/tables.md` calls fixed must not change, because queries of users rely on them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(naming_convention={"pk": "%(table_name)s_pkey", "ix": "%(table_name)s_%(column_0_N_name)s_idx"})

_NOW = text("now()")
_ZERO = text("0")
_EMPTY = text("'{}'")


def _at(name: str, **options: object) -> Column[object]:
    return Column(name, DateTime(timezone=True), **options)  # type: ignore[arg-type]


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=_ZERO)


participation_events = Table(
    "participation_events",
    metadata,
    Column("community_id", Text, primary_key=True),
    _at("occurred_at", primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("channel_id", Text),
    Column("member_id", Text, nullable=False),
    Column("object_id", Text),
    Column("object_author_id", Text),
    Column("actor_kind", Text, nullable=False),
    Column("metadata", JSONB, nullable=False),
    _at("received_at", nullable=False, server_default=_NOW),
    Column("import_id", Uuid, comment="the import that brought the event, if one did"),
    postgresql_partition_by="RANGE (occurred_at)",
)

communities = Table(
    "communities",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("name", Text),
    Column("timezone", Text, nullable=False, server_default=text("'UTC'")),
    Column("settings", JSONB, nullable=False, server_default=_EMPTY),
    _at("created_at", nullable=False, server_default=_NOW),
)

community_parts = Table(
    "community_parts",
    metadata,
    Column("part_id", Text, primary_key=True),
    Column("community_id", Text, nullable=False),
    _at("grouped_at", nullable=False, server_default=_NOW),
    Index(None, "community_id"),
    comment="ids whose events count for another community; a community is never a part itself",
)

deleted_communities = Table(
    "deleted_communities",
    metadata,
    Column("community_id", Text, primary_key=True),
    _at("deleted_at", nullable=False),
    Column("is_finished", Boolean, nullable=False, server_default=text("false"), comment="no earlier events are left"),
    comment="ids of which nothing is kept that occurred before the time",
)

member_accounts = Table(
    "member_accounts",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("person_id", Text, nullable=False),
    _at("linked_at", nullable=False, server_default=_NOW),
    Index(None, "person_id"),
)

ingest_batches = Table(
    "ingest_batches",
    metadata,
    Column("batch_id", Text, primary_key=True),
    _count("received"),
    _count("stored"),
    _count("duplicates"),
    _count("dead"),
    _at("started_at", nullable=False),
    _at("stored_at", nullable=False, server_default=text("clock_timestamp()")),
    Column("opted_out", Integer, nullable=False, server_default=_ZERO, comment="beside `received`, not in it"),
    Column("notices", Integer, nullable=False, server_default=_ZERO, comment="beside `received`, not in it"),
    Column("ignored", Integer, nullable=False, server_default=_ZERO, comment="beside `received`, not in it"),
    Column("deleted", Integer, nullable=False, server_default=_ZERO, comment="beside `received`, not in it"),
    Index(None, "stored_at"),
)

import_counts = Table(
    "import_counts",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    _count("stored"),
    _count("duplicates"),
    _count("dead"),
    _count("opted_out"),
    _count("ignored"),
    _count("deleted"),
    comment="what each batch made of the events of an import",
)

hash_keys = Table(
    "hash_keys",
    metadata,
    Column("name", Text, primary_key=True, comment="the table whose hashes are made with it"),
    Column("key", LargeBinary, nullable=False),
)

opt_outs = Table(
    "opt_outs",
    metadata,
    Column("account_hash", LargeBinary, primary_key=True, comment="HMAC-SHA256 of [platform, account_id] as JSON"),
    _at("until", nullable=False, comment="what the account did before is not kept"),
)

community_bots = Table(
    "community_bots",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("is_present", Boolean, nullable=False),
    _at("changed_at", nullable=False),
    Column("space_id", Text, primary_key=True, server_default=text("''"), comment="empty if the bot did not tell it"),
    comment="whether the bot of a platform is in the community; where it was removed, its data is deleted in time",
)

community_non_users = Table(
    "community_non_users",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    comment="accounts of which an event with another actor_kind than user is stored; they receive no reactions",
)

account_names = Table(
    "account_names",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("name", Text),
    Column("username", Text),
    _at("joined_at"),
    _at("seen_at", nullable=False),
    Index(None, "platform", "account_id"),
    comment="what accounts are called in a community, by the latest notice; joined_at is the earliest that was told",
)

channel_names = Table(
    "channel_names",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),
    Column("name", Text),
    Column("parent_id", Text),
    Column("category_id", Text),
    Column("is_public", Boolean, comment="every member may read it; NULL is unknown and is treated as not public"),
    _at("seen_at", nullable=False),
    comment="what channels are called and where they belong, by the latest notice",
)

space_names = Table(
    "space_names",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("space_id", Text, primary_key=True),
    Column("name", Text),
    _at("seen_at", nullable=False),
    Column("former_id", Text),
    comment="what the guilds, chats and workspaces of a community are called, by the latest notice",
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _at("received_at", nullable=False, server_default=_NOW),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False, comment="the list element, cut off at its first 64 KiB"),
    Column("raw_bytes", BigInteger, nullable=False, comment="length of the whole list element"),
    Column("raw_sha256", LargeBinary, nullable=False, comment="SHA-256 of the whole list element"),
    Column("batch_id", Text, nullable=False),
    _at("replayed_at"),
    Index(None, "received_at"),
)

due_days = Table(
    "due_days",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("community_id", Text, nullable=False),
    Column("highlight_date", Date, nullable=False),
    _at("marked_at", nullable=False, server_default=_NOW),
    Index(None, "community_id", "highlight_date"),
    comment="local days whose events changed since they were last computed; a day may stand here several times",
)

member_daily_highlights = Table(
    "member_daily_highlights",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("highlight_date", Date, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("message_count", Integer, nullable=False),
    Column("reaction_count", Integer, nullable=False),
    Column("reactions_received", Integer, nullable=False),
    Column("voice_minutes", Integer, nullable=False),
    Column("active_hours", SmallInteger, nullable=False),
    Column("reputation_earned", Integer, nullable=False),
    _at("computed_at", nullable=False, server_default=_NOW),
    Column("voice_minutes_together", Integer, comment="not alone and not deafened; NULL if all voice minutes count"),
)

community_daily_highlights = Table(
    "community_daily_highlights",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("highlight_date", Date, primary_key=True),
    Column("active_members", Integer, nullable=False),
    Column("message_count", Integer, nullable=False),
    Column("reaction_count", Integer, nullable=False),
    Column("voice_minutes", Integer, nullable=False),
    Column("members_joined", Integer, nullable=False),
    Column("members_left", Integer, nullable=False),
    Column(
        "peak_hour",
        SmallInteger,
        comment="local hour with the most messages and reactions, the first of equals",
    ),
    Column("rules_version", SmallInteger, nullable=False, comment="version of the rules that computed the day"),
    _at("computed_at", nullable=False, server_default=_NOW),
)

channel_daily_highlights = Table(
    "channel_daily_highlights",
    metadata,
    Column("community_id", Text, primary_key=True),
    Column("highlight_date", Date, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),
    Column("active_members", Integer, nullable=False),
    Column("message_count", Integer, nullable=False),
    Column("reaction_count", Integer, nullable=False),
    Column("voice_minutes", Integer, nullable=False),
    _at("computed_at", nullable=False, server_default=_NOW),
    comment="what happened in each channel; threads count for their parent",
)
