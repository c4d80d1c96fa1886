"""⑦ The formats of a digest. A renderer lays out a `Summary` or a `Digest`, and does not choose."""
