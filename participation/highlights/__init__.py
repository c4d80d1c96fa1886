"""⑥ A computed day as a digest, and ⑦ its rendering for people and programs."""
