"""Measures participation beside what people would use instead: `make bench`."""
