"""① The bot's side: what stands behind `track_event.delay`, and sending many events at once."""
