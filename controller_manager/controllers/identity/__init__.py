"""Controllers that hand out names and credentials."""
