"""The nouns of coordination.k8s.io: leases."""
