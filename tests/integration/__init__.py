"""Real etcd, real API servers, real clients."""
