"""History from files, sent through the same queue and workers as live events."""
