"""Everything on one machine: the servers out of their wheels, and the simulated community."""
