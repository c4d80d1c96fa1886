"""Operating an installation: status, doctor, waiting for imports, replaying dead letters."""
