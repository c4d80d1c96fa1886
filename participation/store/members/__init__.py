"""Members: linked accounts, and the requests of members for their data, erasure and opting out."""
