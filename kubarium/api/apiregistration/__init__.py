"""The nouns of apiregistration.k8s.io: other API servers."""
