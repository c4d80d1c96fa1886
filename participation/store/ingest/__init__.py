"""Stores batches: rows of events, dead letters and counts. Discards the events of members who opted out."""
