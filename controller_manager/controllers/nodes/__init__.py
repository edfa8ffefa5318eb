"""Controllers that look after nodes: heartbeats, taints, address ranges."""
