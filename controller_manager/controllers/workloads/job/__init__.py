"""Job: pods that run to their end, each finished pod counted exactly once."""
