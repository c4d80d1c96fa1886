"""Communities: settings, the presence of their bots, and the deletion of their data."""
