"""The nouns of networking.k8s.io: ways in, policies, address ranges."""
