"""Runs everything on one machine: PostgreSQL and Valkey from Python wheels, and `participation up`."""
