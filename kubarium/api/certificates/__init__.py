"""certificates.k8s.io: asking for certificates."""
