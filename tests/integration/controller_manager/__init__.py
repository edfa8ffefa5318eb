"""A package, so that what is there for the package ends with it."""
