"""⑦ The formats of a digest. A renderer lays out what `summary` or `digest` says, and chooses nothing."""
