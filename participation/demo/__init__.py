"""A simulated community, and `participation demo`, which sends its events through the whole system."""
