"""Local days: which ones an event touches, which are due, computing them, reading them."""
