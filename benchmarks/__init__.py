"""`make bench`: compares the speed of participation with the alternatives."""
