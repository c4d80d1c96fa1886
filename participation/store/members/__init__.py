"""Members: linked accounts, and what they may ask for: their data, erasure, opting out."""
