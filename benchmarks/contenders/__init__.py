"""What participation is measured beside, each set up as its own documentation advises."""
