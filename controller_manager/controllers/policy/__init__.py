"""Controllers that check policies."""
