"""The programs that are measured. Alternatives are configured as their own documentation advises."""
