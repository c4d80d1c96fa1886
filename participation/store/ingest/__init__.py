"""Writing batches: rows of events, dead letters, opt-outs, counts."""
