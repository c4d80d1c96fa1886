"""Everything on one machine: PostgreSQL and Valkey from their wheels, and `participation up`."""
