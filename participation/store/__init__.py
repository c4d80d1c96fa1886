"""PostgreSQL: every table, every write and every read. No other package contains SQL."""
