"""From the Redis list into PostgreSQL: ② claim, ③ decode and quarantine, ④ flush."""
