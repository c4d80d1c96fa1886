"""PostgreSQL: the tables, their migrations, every write and every read."""
