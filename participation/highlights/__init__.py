"""Highlights: ⑤ compute local days, ⑥ choose what a digest shows, and ⑦ lay it out for people and programs."""
