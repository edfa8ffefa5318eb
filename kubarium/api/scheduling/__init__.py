"""The nouns of scheduling.k8s.io: priorities."""
