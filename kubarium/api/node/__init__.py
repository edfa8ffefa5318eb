"""The nouns of node.k8s.io: runtime classes."""
