"""PostgreSQL: every table, every write and every read. Nothing outside of this package knows SQL."""
