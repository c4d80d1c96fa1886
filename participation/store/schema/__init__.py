"""The schema: tables, migrations, partitions, and the privileges that workers need."""
