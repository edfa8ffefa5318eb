"""The pod: what it is, what makes it valid, and the questions asked of it."""
