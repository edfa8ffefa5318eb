"""Controllers that take away what nobody needs any more."""
