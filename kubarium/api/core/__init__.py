"""The nouns of the core group: pods, nodes, services and what they lean on."""
