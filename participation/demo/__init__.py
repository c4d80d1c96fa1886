"""The simulated community, and the demonstration that sends it through the whole route."""
