"""The nouns of apiextensions.k8s.io: definitions of further nouns."""
