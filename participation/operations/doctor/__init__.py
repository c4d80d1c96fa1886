"""`participation doctor`: checks whether the running servers keep the promise. It always ends within seconds."""
