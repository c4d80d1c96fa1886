"""⑤ Computing local days, ⑥ what a digest says, and ⑦ how it is laid out for people and programs."""
