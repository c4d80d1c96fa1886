"""`participation doctor`: what the servers' real settings make of the promise. Bounded in time."""
