"""One verb, one module: each defines a click command and the few functions behind it."""
