"""Local days: finds the days on which an event counts and the days that are due, computes and reads days."""
