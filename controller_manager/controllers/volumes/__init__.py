"""Controllers that bring claims and volumes together and protect what is in use."""
